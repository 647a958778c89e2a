/** The target plan: which function at which commit each sample is about, and with which texts. */

import { createHash } from 'node:crypto';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { canonicalJson, sampleKey } from '../domain/ids.ts';
import type { Ref, Sample, TargetFunction } from '../domain/sample.ts';
import type { FunctionRecord } from './functions.ts';
import { RepositoryError } from './repository-error.ts';

export interface PlanInput {
  /** In the order of the configuration; functions as `listFunctions` gives them. */
  commits: readonly PlannedCommit[];
  /** Ids of the vague instructions; at least three. */
  instructions: readonly string[];
  /** Ids of the demonstrations; at least one. */
  demonstrations: readonly string[];
  samples: number;
  seed: number;
}

export interface PlannedCommit {
  commit: string;
  snapshot: Ref;
  functions: readonly FunctionRecord[];
}

/**
 * The samples in the order of the manifest. The same input gives the same samples, and a larger number
 * of samples begins with the same ones. A round has every eligible function once, directories mixed
 * evenly; the next round takes the function at the next of its commits, with its next three
 * instructions. Throws RepositoryError of kind `no-targets` when no function is eligible, and
 * RangeError when there are too few instructions or demonstrations.
 */
export function planSamples(input: PlanInput): Sample[] {
  const instructions = [...new Set(input.instructions)];
  const demonstrations = [...new Set(input.demonstrations)];
  if (instructions.length < ATTEMPTS || demonstrations.length === 0) {
    throw new RangeError(
      `A plan needs ${ATTEMPTS} instructions and a demonstration; there are ${instructions.length} and ${demonstrations.length}. Add some under \`prompts\`.`,
    );
  }
  const units = collectUnits(input.commits);
  if (units.length === 0) throw noTargets(input.commits);
  const samples: Sample[] = [];
  for (let round = 0; samples.length < input.samples; round++) {
    for (const unit of arrangeRound(units, input.seed, round)) {
      if (samples.length === input.samples) break;
      samples.push(toSample(unit, round, samples.length, instructions, demonstrations, input.seed));
    }
  }
  return samples;
}

// --- internal ---

/** One per attempt at rollout 1. */
const ATTEMPTS = 3;

/** A function, at every commit that has it. */
interface Unit {
  id: string;
  directory: string;
  places: { commit: string; snapshot: Ref; target: TargetFunction }[];
}

function collectUnits(commits: readonly PlannedCommit[]): Unit[] {
  const units = new Map<string, Unit>();
  for (const { commit, snapshot, functions } of commits) {
    for (const { eligible, reason: _, ...target } of functions) {
      if (!eligible) continue;
      const id = canonicalJson([target.file, target.name]);
      const directory = target.file.slice(0, target.file.lastIndexOf('/') + 1);
      const unit = units.get(id) ?? { id, directory, places: [] };
      unit.places.push({ commit, snapshot, target });
      units.set(id, unit);
    }
  }
  // The order of the input must not matter, only what is in it.
  return [...units.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Each directory is shuffled and spread evenly over the round, so that any part of it is mixed. */
function arrangeRound(units: readonly Unit[], seed: number, round: number): Unit[] {
  const byDirectory = new Map<string, Unit[]>();
  for (const unit of units) {
    const members = byDirectory.get(unit.directory);
    if (members === undefined) byDirectory.set(unit.directory, [unit]);
    else members.push(unit);
  }
  const placed = [...byDirectory].flatMap(([directory, members]) => {
    const random = randomOf(seed, 'round', round, directory);
    const shift = random(FINE) / FINE;
    return shuffle(members, random).map((unit, index) => ({
      unit,
      position: (index + shift) / members.length,
    }));
  });
  placed.sort((a, b) => a.position - b.position || (a.unit.id < b.unit.id ? -1 : 1));
  return placed.map(({ unit }) => unit);
}

function toSample(
  { id, places }: Unit,
  round: number,
  index: number,
  instructions: readonly string[],
  demonstrations: readonly string[],
  seed: number,
): Sample {
  const ofUnit = randomOf(seed, 'unit', id);
  const place = places[(ofUnit(places.length) + round) % places.length];
  if (place === undefined) throw new Error(`${id} stands nowhere`);
  const order = shuffle(instructions, ofUnit);
  const pick = (attempt: number) => order[(round * ATTEMPTS + attempt) % order.length] ?? '';
  const chosen: Sample['instructions'] = [pick(0), pick(1), pick(2)];
  const ofSample = randomOf(seed, 'sample', id, round);
  const { commit, snapshot, target } = place;
  const { file, name } = target;
  const content = sha256(canonicalJson({ commit, file, name, instructions: chosen }));
  return {
    key: sampleKey(index, content),
    index,
    commit,
    snapshot,
    target,
    instructions: chosen,
    demonstration: demonstrations[ofSample(demonstrations.length)] ?? '',
    seed: ofSample(2 ** 31),
  };
}

const FINE = 2 ** 30;

/** Whole numbers below a limit, drawn from a stream that the parts alone determine. */
function randomOf(...parts: (string | number)[]): (limit: number) => number {
  const generator = xoroshiro128plus(
    Number.parseInt(sha256(canonicalJson(parts)).slice(0, 8), 16) | 0,
  );
  return (limit) => uniformInt(generator, 0, limit - 1);
}

function shuffle<T>(items: readonly T[], random: (limit: number) => number): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = random(last + 1);
    const held = shuffled[last] as T;
    shuffled[last] = shuffled[other] as T;
    shuffled[other] = held;
  }
  return shuffled;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function noTargets(commits: readonly PlannedCommit[]): RepositoryError {
  const found = commits.flatMap(({ functions }) => functions);
  const counts = new Map<string, number>();
  for (const { reason } of found) counts.set(reason ?? '', (counts.get(reason ?? '') ?? 0) + 1);
  const reasons = [...counts].sort((a, b) => b[1] - a[1]).map(([reason, n]) => `${n} ${reason}`);
  const what =
    found.length === 0
      ? 'no function in a language we know (Python, JavaScript, TypeScript, Go) was found'
      : `${found.length} functions were found: ${reasons.join(', ')}`;
  return new RepositoryError(
    'no-targets',
    `No function is eligible: ${what}. Change \`repository.include\`, \`repository.exclude\`, \`repository.commits\` or \`targets.minLines\`; \`twinpatch functions\` shows every function with its reason.`,
  );
}
