/** The function a conversation is about, and how the scripted teacher treats it. */

import type { BatchConfig } from '../../domain/config.ts';
import { POLICIES, type Policy } from '../../domain/teacher-config.ts';
import { chance } from './wire.ts';

export interface Target {
  /** As the text names it: `parse`, `Header.parse`. */
  name: string;
  /** Relative to the repository. */
  file: string;
}

export type Weights = NonNullable<BatchConfig['teacher']['scripted']>['policies'];

const NAME_IN_FILE = /`([^`\n]+)` in `([^`\n]+\.[A-Za-z]\w*)`/g;
/** Other wordings: a name, and later a path to a source file. */
const NAME_THEN_FILE =
  /`([^`\n/]+)`(?:[^`]*`[^`\n]*`){0,3}?[^`]*`([^`\n]+\.(?:pyi?|[cm]?[jt]sx?|go))`/;

/** The first "`name` in `path`" of a text; undefined when it has none. */
export function findTarget(text: string): Target | undefined {
  const [first] = text.matchAll(NAME_IN_FILE);
  const [, name, file] = first ?? NAME_THEN_FILE.exec(text) ?? [];
  return name === undefined || file === undefined ? undefined : { name, file };
}

/** The last "`name` in `path`" before a place in a text. */
export function findTargetBefore(text: string, end: number): Target | undefined {
  const [, name, file] = [...text.slice(0, end).matchAll(NAME_IN_FILE)].at(-1) ?? [];
  return name === undefined || file === undefined ? undefined : { name, file };
}

/** Always the same for a seed and a function, whatever its instruction; drawn by the weights. */
export function policyOf(seed: number, weights: Weights, { name, file }: Target): Policy {
  const total = POLICIES.reduce((sum, policy) => sum + (weights[policy] ?? 0), 0);
  let left = chance(seed, 'policy', file, name) * total;
  for (const policy of POLICIES) {
    left -= weights[policy] ?? 0;
    if (left < 0) return policy;
  }
  return 'reproduce';
}
