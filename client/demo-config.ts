/** The demonstration's batch: a dependency's own sources, the scripted teacher, small sandboxes. */

import { createRequire } from 'node:module';
import { basename, dirname, resolve } from 'node:path';
import { type BatchConfig, batchConfigSchema } from '../domain/config.ts';

export interface DemoOptions {
  samples: number;
  repository?: string | undefined;
  name?: string | undefined;
}

/** A real repository that is on every machine with this package. */
const DEFAULT_PACKAGE = 'commander';

/** `store` is the folder of the batch's results; `cwd` is where a relative repository is looked for. */
export function demoConfig(
  { samples, repository, name }: DemoOptions,
  store: string,
  cwd: string,
): BatchConfig {
  const source =
    repository === undefined
      ? packageFolder()
      : isUrl(repository)
        ? repository
        : resolve(cwd, repository);
  return batchConfigSchema.parse({
    name: name ?? (repository === undefined ? 'demo' : `demo-${nameOf(repository)}`),
    repository: { source },
    environment: { memory: '512MiB', maxProcesses: 256 },
    targets: { samples },
    teacher: { scripted: {} },
    rollout: { maxSteps: 25, commandTimeout: '60s' },
    store,
  });
}

// --- internal ---

function packageFolder(): string {
  return dirname(createRequire(import.meta.url).resolve(DEFAULT_PACKAGE));
}

function isUrl(source: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(source) || /^[^/\s]+@[^/\s]+:/.test(source);
}

/** The last part of a path or URL, as part of a batch name. */
function nameOf(source: string): string {
  const last = basename(source.replace(/[/\\]+$/, '')).replace(/\.git$/, '');
  return (
    last
      .toLowerCase()
      .replaceAll(/[^a-z0-9._-]+/g, '-')
      .slice(0, 40) || 'repository'
  );
}
