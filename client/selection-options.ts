/** The options that say which rollouts become rows, for every command that chooses rows. */

import { type Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import {
  ConditionError,
  parseCondition,
  parseFact,
  parsePreference,
  type Condition,
  type Preference,
} from '../dataset/conditions.ts';
import type { ConversationOptions } from '../dataset/conversation.ts';
import { FACT_NAMES, type FactName } from '../dataset/facts.ts';
import { FORMAT_NAMES, type FormatName } from '../dataset/formats/names.ts';
import { ALIKE, NO_VIEWS } from '../dataset/views.ts';
import { ROLLOUT_STATUSES, type RolloutStatus } from '../domain/outcome.ts';
import { parseCount, parseShare, parseWhole } from './options.ts';
import { ACCEPTED_RECALL } from './yield.ts';

/** As the command line gives them; what is left out has its default. */
export interface SelectionOptions {
  minRecall: number;
  recallMode: 'exact' | 'sera';
  endStatus?: RolloutStatus[] | undefined;
  format?: FormatName | undefined;
  chatTokens?: ConversationOptions['chatTokens'] | undefined;
  secrets?: ConversationOptions['secrets'] | undefined;
  maskFailed?: boolean | undefined;
  where?: Condition[] | undefined;
  distinctPatches?: number | undefined;
  distinctTrajectories?: number | undefined;
  maxPerFunction?: number | undefined;
  maxPerFile?: number | undefined;
  t1Rows?: number | undefined;
  t2Rows?: number | undefined;
  stratify?: FactName | undefined;
  prefer?: Preference | undefined;
  heldOut?: number | undefined;
  seed?: number | undefined;
  tokenBudget?: number | undefined;
  cut?: boolean | undefined;
}

/** A command about batches that has no options yet: on an open type, these twenty cost the compiler minutes. */
type BareCommand = Command<[string[]]>;

/** The command with these options. */
export function withSelection(command: BareCommand) {
  return command
    .option('--min-recall <share>', 'least recall of a T2 row', parseShare, ACCEPTED_RECALL)
    .addOption(
      new Option('--recall-mode <mode>', 'recall that --min-recall means')
        .choices(['exact', 'sera'] as const)
        .default('exact' as const),
    )
    .option(
      '--end-status <status>',
      'how a rollout may have ended; can be given several times (default: submitted)',
      collected(parseStatus),
    )
    .addOption(
      new Option('--format <format>', 'form of the rows, see docs/datasets.md')
        .choices(FORMAT_NAMES)
        .default('hermes' as const),
    )
    .addOption(
      new Option(
        '--chat-tokens <policy>',
        'what chat-template tokens in tool output and prompts do: they cost the row, or get a space inside',
      )
        .choices(['drop', 'escape'] as const)
        .default('drop' as const),
    )
    .addOption(
      new Option(
        '--secrets <policy>',
        'what tokens and keys of known shapes do in rows: they are hidden, cost the row, or stay',
      )
        .choices(['mask', 'drop', 'keep'] as const)
        .default('mask' as const),
    )
    .option('--mask-failed', 'train on no reply whose call failed by its own fault')
    .option(
      '--where <condition>',
      'only rows that meet it, like "t2: leak <= 0.2"; can be given several times',
      collected(parseCondition),
    )
    .addOption(
      new Option(
        '--distinct-patches [similarity]',
        `one of rows whose patches are this similar, from ${LEAST_SIMILARITY} to 1`,
      )
        .preset(String(ALIKE))
        .argParser(parseSimilarity),
    )
    .addOption(
      new Option(
        '--distinct-trajectories [similarity]',
        'one of rows in which the teacher wrote much the same',
      )
        .preset(String(ALIKE))
        .argParser(parseSimilarity),
    )
    .option('--max-per-function <n>', 'rows about one function at most', parseCount)
    .option('--max-per-file <n>', 'rows about one file at most', parseCount)
    .option('--t1-rows <n>', 'rows of T1 at most', parseWhole)
    .option('--t2-rows <n>', 'rows of T2 at most', parseWhole)
    .option(
      '--stratify <fact>',
      'spread these evenly over the values of a fact',
      checked(parseFact),
    )
    .option(
      '--prefer <fact>',
      'which rows stay where not all can: those with the most of a fact, or of FACT:least the least (default: drawn by the seed)',
      checked(parsePreference),
    )
    .option(
      '--held-out <share>',
      'share of rows for files of their own, which have no function, file or near-duplicate in common with the rest',
      parseShare,
    )
    .option('--seed <n>', 'of every draw', parseWhole, NO_VIEWS.seed)
    .option('--token-budget <n>', 'tokens of a training sequence', parseCount, NO_VIEWS.tokenBudget)
    .option('--cut', 'end rows with the last reply within the token budget')
    .addHelpText(
      'after',
      `\nFacts for --where, --stratify and --prefer, told in docs/datasets.md: ${FACT_NAMES.join(', ')}.`,
    );
}

// --- internal ---

const LEAST_SIMILARITY = 0.5;

function parseStatus(value: string): RolloutStatus {
  const status = ROLLOUT_STATUSES.find((each) => each === value);
  if (status !== undefined) return status;
  throw new InvalidArgumentError(`Give one of ${ROLLOUT_STATUSES.join(', ')}.`);
}

function parseSimilarity(value: string): number {
  const similarity = parseShare(value);
  if (similarity >= LEAST_SIMILARITY) return similarity;
  throw new InvalidArgumentError(`Give a number from ${LEAST_SIMILARITY} to 1.`);
}

/** A parser whose ConditionError is one of usage. */
function checked<T>(parse: (value: string) => T): (value: string) => T {
  return (value) => {
    try {
      return parse(value);
    } catch (error) {
      if (error instanceof ConditionError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

function collected<T>(
  parse: (value: string) => T,
): (value: string, before: T[] | undefined) => T[] {
  return (value, before = []) => [...before, checked(parse)(value)];
}
