/** Keeps secrets of a repository out of what is made of it: snapshots, and the functions that are listed. */

import { findSecrets, isKeyFile, maskSecrets, type SecretRule } from '../domain/secrets.ts';
import type { LeftOut, Source, SourceFile } from './source-file.ts';

/** `mask` hides secrets in their files, `deny` leaves such files out, `report` takes all as it is and says so. */
export type SecretPolicy = 'mask' | 'deny' | 'report';

/** What was found in a file, and what came of it, in words. */
export type OnSecret = (path: string, what: string) => void;

/**
 * The source without its secrets. Files that are keys are left out, but by `report`; in the others a masked secret is as long as it
 * was, so that lines and columns stay. The same commit gives the same files.
 */
export function guardSecrets(
  source: Source,
  policy: SecretPolicy = 'mask',
  onSecret: OnSecret = () => {},
): Source {
  return {
    ...source,
    async *files(commit, onLeftOut = () => {}) {
      for await (const file of source.files(commit, onLeftOut)) {
        const guarded = guardFile(file, policy, onSecret, onLeftOut);
        if (guarded !== undefined) yield guarded;
      }
    },
  };
}

// --- internal ---

function guardFile(
  file: SourceFile,
  policy: SecretPolicy,
  onSecret: OnSecret,
  onLeftOut: (leftOut: LeftOut) => void,
): SourceFile | undefined {
  const { path, mode, bytes } = file;
  if (mode === '120000') return file;
  if (isKeyFile(path)) {
    if (policy === 'report') onSecret(path, 'it is a file of keys, and is taken as it is');
    else onLeftOut({ path, reason: 'it is a file of keys' });
    return policy === 'report' ? file : undefined;
  }
  // A byte is a character here, so places are the same in both.
  const text = bytes.toString('latin1');
  const secrets = findSecrets(text);
  if (secrets.length === 0) return file;
  const what = countRules(secrets.map(({ rule }) => rule));
  if (policy === 'deny') {
    onLeftOut({ path, reason: `it holds a secret: ${what}` });
    return undefined;
  }
  if (policy === 'report') {
    onSecret(path, `${what}, taken as it is`);
    return file;
  }
  onSecret(path, `${what}, masked`);
  return { ...file, bytes: Buffer.from(maskSecrets(text, secrets), 'latin1') };
}

function countRules(rules: SecretRule[]): string {
  return [...new Set(rules)]
    .map((rule) => {
      const count = rules.filter((each) => each === rule).length;
      return count === 1 ? rule : `${rule} ${count} times`;
    })
    .join(', ');
}
