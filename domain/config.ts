/** The schema of twinpatch.yaml: the only place with defaults and descriptions. */

import { z } from 'zod';
import { BATCH_NAME_PATTERN } from './ids.ts';
import { parseBucketLocation } from './location.ts';
import { hasPrices } from './price.ts';
import { PR_TAG, VERDICT_TAG } from './prompts.ts';
import { size, timeLimit } from './quantity.ts';
import { teacherSchema } from './teacher-config.ts';

/** Base image of a sandbox where the user names none. */
export const DEFAULT_IMAGE = 'twinpatch/base:bookworm';

const texts = z.record(
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]*$/, 'expected an id of lower-case letters, digits and dashes'),
  z.string().min(1),
);

/** Of files of one kind. */
const globs = (kind: string) =>
  z.array(z.string().min(1)).optional().describe(`Globs of files that are ${kind}.`);

/** Less holds no shell and the command that it runs. */
const LEAST_MEMORY_BYTES = 32 * 1024 ** 2;

/** A prompt whose answer is read in a tag; without it every sample would fail after it was paid for. */
function asksFor(tag: string) {
  const error = `must ask for the answer in <${tag}>…</${tag}>: it is read nowhere else`;
  return z.string().refine((text) => text.includes(`<${tag}>`), { error });
}

const sections = z.strictObject({
  name: z
    .string()
    .regex(
      BATCH_NAME_PATTERN,
      'expected lower-case letters, digits, dots, dashes and underscores, at most 64',
    )
    .describe('Name of the batch; the same name is the same batch.'),
  repository: z
    .strictObject({
      source: z
        .string()
        .min(1)
        .default('.')
        .describe(
          'A local folder (`~/` is the home folder) or any git URL; it may change to another one that has the same commits. Of a folder without git all is taken that its ignore rules let through.',
        ),
      commits: z
        .array(z.string().min(1))
        .min(1)
        .refine((commits) => new Set(commits).size === commits.length, 'names a commit twice')
        .default(['HEAD'])
        .describe('Commits by any name git knows; samples are spread over them.'),
      include: z
        .array(z.string())
        .default([])
        .describe('Globs of files whose functions are targeted; all files when empty.'),
      exclude: z
        .array(z.string())
        .default([])
        .describe('Globs of files whose functions are left out.'),
      secrets: z
        .enum(['mask', 'deny', 'report'])
        .optional()
        .describe(
          'Secrets of known shapes in files: `mask` (when nothing is given) hides them, `deny` leaves the file out; both leave out files of keys such as `.env`. `report` takes all as it is and says so.',
        ),
    })
    .prefault({})
    .describe('What the data is made of.'),
  environment: z
    .strictObject({
      image: z
        .string()
        .min(1)
        .optional()
        .describe(
          `Base image; \`${DEFAULT_IMAGE}\`, which the set-up of this package makes, when neither it nor \`dockerfile\` is given.`,
        ),
      dockerfile: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Dockerfile that makes the base image, a path from this file; it sees no files, so what copies them belongs into `setup`.',
        ),
      setup: z
        .array(z.string().min(1))
        .default([])
        .describe(
          'Shell commands run once in the repository when the image is prepared; the network is reachable here only.',
        ),
      setupTimeout: timeLimit().prefault('15m').describe('Limit for all set-up commands together.'),
      memory: size()
        .refine((bytes) => bytes >= LEAST_MEMORY_BYTES, 'expected at least 32MiB')
        .prefault('2GiB')
        .describe('Memory of a sandbox; there is no swap beyond it.'),
      cpus: z.number().positive().default(1).describe('Processors of a sandbox.'),
      maxProcesses: z.int().min(16).default(1024).describe('Processes and threads in a sandbox.'),
      maxFileSize: size().prefault('1GiB').describe('Largest file a sandbox may write.'),
      maxDisk: size()
        .prefault('4GiB')
        .describe('All that a sandbox may write; one that writes more ends its rollout.'),
      maxDiskFiles: z
        .int()
        .min(1000)
        .default(200_000)
        .describe('Files and folders that a sandbox may write.'),
    })
    .prefault({})
    .refine(({ image, dockerfile }) => image === undefined || dockerfile === undefined, {
      error: 'give either `image` or `dockerfile`',
    })
    .transform(({ image, dockerfile, setupTimeout, memory, maxFileSize, maxDisk, ...rest }) => ({
      ...rest,
      ...(dockerfile === undefined
        ? { image: image ?? DEFAULT_IMAGE, dockerfile }
        : { image: undefined, dockerfile }),
      setupTimeoutMs: setupTimeout,
      memoryBytes: memory,
      maxFileBytes: maxFileSize,
      maxDiskBytes: maxDisk,
    }))
    .describe('Where the tools of the agent run.'),
  targets: z
    .strictObject({
      samples: z
        .int()
        .positive()
        .max(1_000_000)
        .default(200)
        .describe('Samples of the batch, at most a million; raise it later to append more.'),
      seed: z.int().nonnegative().default(7).describe('The same seed plans the same samples.'),
      minLines: z.int().positive().default(4).describe('Shorter functions are not targeted.'),
    })
    .prefault({})
    .describe('Which functions, and how many samples.'),
  teacher: teacherSchema,
  rollout: z
    .strictObject({
      profile: z
        .literal('swe-agent')
        .default('swe-agent')
        .describe('Tools and manners of the agent.'),
      callsPerTurn: z
        .enum(['one', 'several'])
        .default('one')
        .describe('Tool calls accepted in one turn.'),
      maxSteps: z.int().positive().default(115).describe('Teacher turns per rollout.'),
      commandTimeout: timeLimit().prefault('300s').describe('Limit for one command.'),
      maxConsecutiveTimeouts: z
        .int()
        .positive()
        .default(3)
        .describe('Timed-out commands in a row that end a rollout.'),
      maxToolTime: timeLimit()
        .prefault('30m')
        .describe('Limit for all commands of a rollout together.'),
      maxWallTime: timeLimit()
        .prefault('60m')
        .describe(
          "Limit for a rollout's service and tool time; waiting for an endpoint does not count.",
        ),
      maxTokens: z
        .int()
        .positive()
        .default(8_000_000)
        .describe('Input and output tokens of a rollout together.'),
      maxCostUsd: z.number().positive().optional().describe('USD a rollout may cost.'),
      maxFormatErrors: z
        .int()
        .positive()
        .default(3)
        .describe('Malformed replies in a row that end a rollout.'),
      maxObservationChars: z
        .int()
        .min(1000)
        .default(16_000)
        .describe('Longer tool output is clipped in the middle, with a mark.'),
      maxPatchSize: size()
        .prefault('1MiB')
        .describe('A rollout whose patch is larger is unverifiable.'),
    })
    .prefault({})
    .transform(({ commandTimeout, maxToolTime, maxWallTime, maxPatchSize, ...rest }) => ({
      ...rest,
      commandTimeoutMs: commandTimeout,
      maxToolTimeMs: maxToolTime,
      maxWallTimeMs: maxWallTime,
      maxPatchBytes: maxPatchSize,
    }))
    .describe('Limits of one rollout.'),
  prompts: z
    .strictObject({
      instructions: z
        .strictObject({
          replace: z.boolean().default(false).describe('Use only the texts given here.'),
          add: texts
            .default({})
            .describe('Vague instructions by id; `{{ function }}` and `{{ file }}` are filled in.'),
        })
        .prefault({})
        .describe('The instructions of rollout 1.'),
      demonstrations: z
        .strictObject({
          replace: z.boolean().default(false).describe('Use only the texts given here.'),
          add: texts
            .default({})
            .describe('Short issue and pull-request texts by id, shown as examples of style.'),
        })
        .prefault({})
        .describe('Examples for the synthetic pull request.'),
      system: z.string().min(1).optional().describe('Replaces the system prompt.'),
      task: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Replaces the first user message; `{{ repository }}` and `{{ statement }}` are filled in.',
        ),
      review: z
        .string()
        .min(1)
        .optional()
        .describe('Replaces the review text at the first submit; `{{ diff }}` is filled in.'),
      selfCheck: asksFor(VERDICT_TAG)
        .optional()
        .describe(
          'Replaces the self-check prompt; `{{ instruction }}` and `{{ steps }}` are filled in. It must ask for yes or no in `<verdict>`.',
        ),
      syntheticPr: asksFor(PR_TAG)
        .optional()
        .describe(
          'Replaces the pull-request prompt; `{{ demonstration }}` and `{{ steps }}` are filled in. It must ask for the text in `<pull_request>`.',
        ),
    })
    .prefault({})
    .describe('Own texts instead of, or beside, the built-in ones.'),
  verification: z
    .strictObject({
      maxLeak: z
        .number()
        .min(0)
        .max(1)
        .default(0.5)
        .describe(
          'A pull-request text that leaks more is written again, at most twice; the best is kept.',
        ),
      kinds: z
        .strictObject({
          tests: globs('tests'),
          docs: globs('documentation'),
          generated: globs('generated'),
          source: globs('written by hand'),
        })
        .optional()
        .transform((kinds) =>
          Object.values(kinds ?? {}).some((each) => (each?.length ?? 0) > 0) ? kinds : undefined,
        )
        .describe(
          'What files are here, whatever their names say elsewhere; for the facts of patches.',
        ),
    })
    .prefault({})
    .describe('How samples are verified.'),
  budget: z
    .strictObject({
      maxCostUsd: z
        .number()
        .positive()
        .optional()
        .describe('USD the batch may cost in all; at a cap no new call is sent.'),
      maxTokens: z
        .int()
        .positive()
        .optional()
        .describe('Input and output tokens of the batch in all, cached input included.'),
      maxHours: z
        .number()
        .positive()
        .optional()
        .describe(
          'Hours the batch may work in all; of a longer pause between calls than 10 minutes none counts.',
        ),
    })
    .prefault({})
    .describe('Limits of the whole batch, over all its runs.'),
  store: z
    .string()
    .min(1)
    .default('.twinpatch/store')
    .refine(
      (store) => !store.includes('://') || parseBucketLocation(store) !== undefined,
      'expected a folder, or s3://bucket/prefix',
    )
    .describe('Where results are kept: a folder, beside this file, or `s3://bucket/prefix`.'),
});

/** The configuration of a batch (`twinpatch.yaml`). */
export const batchConfigSchema = sections.superRefine((config, context) => {
  if (hasPrices(config.teacher)) return;
  for (const section of ['budget', 'rollout'] as const) {
    if (config[section].maxCostUsd === undefined) continue;
    context.addIssue({
      code: 'custom',
      path: [section, 'maxCostUsd'],
      message: 'needs `teacher.price`: without prices no cost is known',
    });
  }
});

/** What a user writes. */
export type BatchConfigInput = z.input<typeof batchConfigSchema>;
/**
 * The parsed configuration: defaults filled in, sizes in bytes, durations in milliseconds. Once the client has loaded it,
 * `environment.dockerfile` is the file's text, so that a batch holds all that its workers need.
 */
export type BatchConfig = z.output<typeof batchConfigSchema>;
