/** The worker's own settings, from `TWINPATCH_*` variables: where the server and the store are, how much it may run at once. */

import { availableParallelism, homedir, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { SavingLimits } from '../activities/saved-trees.ts';
import { isBucket } from '../domain/location.ts';
import { isAddress } from './connection.ts';

/** Memory of this host that sandboxes may take together. */
const MEMORY_SHARE = 0.8;
/** Commands mostly wait for the teacher, so a core carries several rollouts; a load of as many per core is all it can bear. */
const ROLLOUTS_PER_CORE = 4;
const TYPICAL_SANDBOX_BYTES = 2 * 1024 ** 3;

const count = z.coerce.number().int().positive();

const environmentSchema = z.object({
  TWINPATCH_STORE: z.string().min(1).default('.twinpatch/store'),
  TWINPATCH_TEMPORAL: z.string().refine(isAddress, 'expected host:port').default('127.0.0.1:7233'),
  TWINPATCH_NAMESPACE: z.string().min(1).default('twinpatch'),
  TWINPATCH_SLOTS: count.optional(),
  TWINPATCH_MAX_LOAD: z.coerce.number().positive().optional(),
  TWINPATCH_MEMORY_RESERVE_MB: count.default(512),
  TWINPATCH_IMAGE_GB: count.default(30),
  TWINPATCH_DISK_RESERVE_MB: count.default(1024),
  TWINPATCH_SAVE_STEPS: count.default(5),
  TWINPATCH_SAVE_SECONDS: count.default(10),
  TWINPATCH_SAVE_MB: count.max(60).default(48),
  TWINPATCH_SHARE_IMAGES: z.enum(['0', '1']).optional(),
  TWINPATCH_METRICS_PORT: z.coerce.number().int().min(0).max(65_535).default(9464),
  TWINPATCH_ALLOW_ENV: z.string().default(''),
  XDG_CACHE_HOME: z.string().default(''),
});

export interface WorkerEnvironment {
  store: string;
  temporal: string;
  namespace: string;
  /** Rollouts, each with a container, at once. */
  slots: number;
  /** Load average, over a minute, and memory left on this host up to which further ones begin. */
  maxLoad: number;
  memoryReserveBytes: number;
  /** All prepared images together; beyond it those used longest ago are removed. */
  imageBytes: number;
  /** Room that sandboxes leave on the engine's disk. */
  diskReserveBytes: number;
  /** When the files of a running rollout are saved, and how much at most. */
  saving: SavingLimits;
  /** Whether prepared images go to the store, for other hosts. */
  shareImages: boolean;
  /** What is kept for this user on this host. */
  cacheFolder: string;
  /** Where metrics are served, on loopback; undefined: nowhere. */
  metricsPort: number | undefined;
  /** Variables that may hold keys although their name does not end in `_API_KEY`. */
  allowedKeyVariables: string[];
}

/** Throws an Error that names the variable and what it should be. */
export function readEnvironment(variables: Record<string, string | undefined>): WorkerEnvironment {
  const parsed = environmentSchema.safeParse(variables);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`${issue?.path.join('.') ?? 'environment'}: ${issue?.message ?? 'not valid'}`);
  }
  const { data } = parsed;
  return {
    store: data.TWINPATCH_STORE,
    temporal: data.TWINPATCH_TEMPORAL,
    namespace: data.TWINPATCH_NAMESPACE,
    slots: data.TWINPATCH_SLOTS ?? defaultSlots(),
    maxLoad: data.TWINPATCH_MAX_LOAD ?? availableParallelism() * ROLLOUTS_PER_CORE,
    memoryReserveBytes: data.TWINPATCH_MEMORY_RESERVE_MB * 1024 ** 2,
    imageBytes: data.TWINPATCH_IMAGE_GB * 1e9,
    diskReserveBytes: data.TWINPATCH_DISK_RESERVE_MB * 1e6,
    saving: {
      everySteps: data.TWINPATCH_SAVE_STEPS,
      everyMs: data.TWINPATCH_SAVE_SECONDS * 1000,
      maxBytes: data.TWINPATCH_SAVE_MB * 1024 ** 2,
    },
    // Who keeps the store in a bucket has, or will have, several hosts.
    shareImages:
      (data.TWINPATCH_SHARE_IMAGES ?? (isBucket(data.TWINPATCH_STORE) ? '1' : '0')) === '1',
    cacheFolder: join(data.XDG_CACHE_HOME || join(homedir(), '.cache'), 'twinpatch'),
    metricsPort: data.TWINPATCH_METRICS_PORT || undefined,
    allowedKeyVariables: data.TWINPATCH_ALLOW_ENV.split(',').filter((name) => name !== ''),
  };
}

/** Rollouts that this host carries, by cores and memory. */
export function defaultSlots(): number {
  const byMemory = Math.floor((totalmem() * MEMORY_SHARE) / TYPICAL_SANDBOX_BYTES);
  return Math.max(1, Math.min(availableParallelism() * ROLLOUTS_PER_CORE, byMemory));
}
