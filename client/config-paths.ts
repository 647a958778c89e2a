/** What a configuration names outside of itself: folders and files, from where it stands. */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import type { BatchConfig } from '../domain/config.ts';
import { isBucket } from '../domain/location.ts';
import type { ConfigIssue } from './config-issues.ts';

/** Whether a source names a place on this machine, and no URL. */
export function isLocalSource(source: string): boolean {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) return false;
  // git's short form host:path, and its helper::address.
  return /^[./~]/.test(source) || !/^(?:[\w.-]+@)?[\w.-]+:/.test(source);
}

/** The configuration with its paths made absolute, and the text of its Dockerfile. */
export function withFiles(
  config: BatchConfig,
  folder: string,
): { config: BatchConfig } | { issue: ConfigIssue } {
  const { repository, environment, store } = config;
  const absolute = (path: string) => absoluteFrom(folder, path);
  const source = isLocalSource(repository.source) ? absolute(repository.source) : repository.source;
  const dockerfile = environment.dockerfile && readDockerfile(absolute(environment.dockerfile));
  if (typeof dockerfile === 'object') return { issue: dockerfile };
  return {
    config: {
      ...config,
      repository: { ...repository, source },
      environment:
        dockerfile === undefined ? environment : { ...environment, image: undefined, dockerfile },
      store: resolveStore(store, folder),
    },
  };
}

/** A store's location, from where its configuration stands. */
export function resolveStore(store: string, folder: string): string {
  return isBucket(store) ? store : absoluteFrom(folder, store);
}

// --- internal ---

function absoluteFrom(folder: string, path: string): string {
  return resolve(folder, path.replace(/^~(?=\/|$)/, homedir()));
}

function readDockerfile(path: string): string | ConfigIssue {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? `${path} is not there` : `it can't be read: ${message}`;
    return { path: ['environment', 'dockerfile'], reason, isKey: false };
  }
}
