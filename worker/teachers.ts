/** One teacher per batch, for as long as the worker lives; the scripted one is started here when a batch asks for it. */

import { readFile } from 'node:fs/promises';
import type { BatchConfig } from '../domain/config.ts';
import { type CallId, type Teacher, TeacherError } from '../domain/ports.ts';
import type { Waiting } from '../domain/sample.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { createTeacher, type Wait } from '../teacher/client.ts';
import { startScriptedTeacher } from '../teacher/scripted/server.ts';
import { createBookedTeacher } from './booked-teacher.ts';
import { type Budget, createBudget } from './budget.ts';
import type { Metrics } from './metrics.ts';
import { createPulse } from './pulse.ts';
import { createShare } from './share.ts';

type Endpoint = BatchConfig['teacher']['endpoints'][number];

/** Calls under way at the scripted teacher: it costs nothing to ask. */
const SCRIPTED_CONCURRENCY = 1024;

export interface Teachers {
  teacherFor(batch: BatchRecord): Promise<Teacher>;
  /** What a sample's call waits for just now. */
  waitingFor(batchId: string, sampleKey: string): Waiting | undefined;
  close(): Promise<void>;
}

/** `allowedVariables`: names that may hold keys although they don't end in `_API_KEY`. */
export function createTeachers(
  store: Store,
  variables: Record<string, string | undefined>,
  allowedVariables: string[],
  metrics?: Metrics,
): Teachers {
  const teachers = new Map<string, Promise<Teacher>>();
  const budgets = new Map<string, Budget>();
  /** By `<batchId>/<sampleKey>`, of which one call is under way at most. */
  const waits = new Map<string, Waiting>();
  const closing: (() => Promise<void>)[] = [];

  /** One for all teachers that a batch has in its time. */
  function budgetOf({ id }: BatchRecord): Budget {
    const budget = budgets.get(id) ?? createBudget(store, id);
    budgets.set(id, budget);
    return budget;
  }

  function noteWait({ scope }: CallId, waiting: Waiting | null): void {
    const sample = scope.split('/', 2).join('/');
    if (waiting === null) waits.delete(sample);
    else waits.set(sample, waiting);
  }

  async function open(batch: BatchRecord): Promise<Teacher> {
    const share = createShare(store.shares, batch.id);
    const budget = budgetOf(batch);
    const teacher = createTeacher(await withEndpoints(batch.config.teacher), {
      apiKey,
      share: share.now,
      admit: (call, signal) =>
        budget.admit(signal, (reason) => noteWait(call, reason === null ? null : { reason })),
      onWait: (call, wait) => noteWait(call, wait === null ? null : toWaiting(wait)),
    });
    const pulse = createPulse(store.pulses, batch.id, teacher.loads, (endpoints) =>
      metrics?.atEndpoints(batch.id, endpoints),
    );
    closing.push(() => teacher.close());
    closing.push(async () => share.stop());
    closing.push(async () => pulse.stop());
    return createBookedTeacher(share.keptBy(teacher), store.spend, (line) => {
      pulse.paid(line);
      metrics?.paid(line);
    });
  }

  async function withEndpoints(config: BatchConfig['teacher']): Promise<BatchConfig['teacher']> {
    if (config.scripted === undefined) return config;
    const server = await startScriptedTeacher(config.scripted);
    closing.push(() => server.close());
    const endpoint = {
      baseUrl: server.baseUrl,
      model: 'scripted',
      maxConcurrency: SCRIPTED_CONCURRENCY,
    };
    return { ...config, endpoints: [endpoint] };
  }

  async function apiKey({ apiKeyEnv, apiKeyFile }: Endpoint): Promise<string | undefined> {
    if (apiKeyFile !== undefined) return readKeyFile(apiKeyFile);
    if (apiKeyEnv === undefined) return undefined;
    if (!apiKeyEnv.endsWith('_API_KEY') && !allowedVariables.includes(apiKeyEnv)) {
      throw new TeacherError(
        'auth',
        `${apiKeyEnv} may not be sent: its name does not end in _API_KEY; start the worker with TWINPATCH_ALLOW_ENV=${apiKeyEnv}`,
      );
    }
    const key = variables[apiKeyEnv];
    if (key === undefined || key === '') {
      throw new TeacherError(
        'auth',
        `the variable ${apiKeyEnv} is not set where the worker runs; set it and restart the worker: twinpatch down && twinpatch up`,
      );
    }
    return key;
  }

  return {
    teacherFor(batch) {
      // Endpoints, prices and deadlines may change between runs of a batch; then it gets another client.
      const id = `${batch.id} ${JSON.stringify(batch.config.teacher)}`;
      const known = teachers.get(id);
      if (known !== undefined) return known;
      const opened = open(batch);
      teachers.set(id, opened);
      opened.catch(() => teachers.delete(id));
      return opened;
    },

    waitingFor: (batchId, sampleKey) => waits.get(`${batchId}/${sampleKey}`),

    async close() {
      await Promise.all(closing.map((close) => close()));
    },
  };
}

// --- internal ---

function toWaiting({ reason, untilMs }: Wait): Waiting {
  return {
    reason,
    ...(untilMs !== undefined && { nextTryAt: new Date(untilMs).toISOString() }),
  };
}

async function readKeyFile(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new TeacherError('auth', `apiKeyFile ${path} can't be read (${error.code ?? 'error'})`);
  });
  const key = text.trim();
  if (key === '')
    throw new TeacherError('auth', `apiKeyFile ${path} is empty; write the key into it`);
  return key;
}
