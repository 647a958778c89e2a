/** One teacher per batch, for as long as the worker lives; the scripted one is started here when a batch asks for it. */

import { readFile } from 'node:fs/promises';
import type { BatchConfig } from '../domain/config.ts';
import { type Teacher, TeacherError } from '../domain/ports.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { createTeacher } from '../teacher/client.ts';
import { startScriptedTeacher } from '../teacher/scripted/server.ts';
import { createBookedTeacher } from './booked-teacher.ts';

type Endpoint = BatchConfig['teacher']['endpoints'][number];

/** Calls under way at the scripted teacher: it costs nothing to ask. */
const SCRIPTED_CONCURRENCY = 1024;

export interface Teachers {
  teacherFor(batch: BatchRecord): Promise<Teacher>;
  /** What a batch's endpoints are waited for just now, in words. */
  waitingFor(batchId: string): string | undefined;
  close(): Promise<void>;
}

/** `allowedVariables`: names that may hold keys although they don't end in `_API_KEY`. */
export function createTeachers(
  store: Store,
  variables: Record<string, string | undefined>,
  allowedVariables: string[],
): Teachers {
  const teachers = new Map<string, Promise<Teacher>>();
  const waits = new Map<string, string>();
  const closing: (() => Promise<void>)[] = [];

  async function open(batch: BatchRecord): Promise<Teacher> {
    const teacher = createTeacher(await withEndpoints(batch.config.teacher), {
      apiKey,
      onWait(wait) {
        if (wait === null) waits.delete(batch.id);
        else waits.set(batch.id, describeWait(wait));
      },
    });
    closing.push(() => teacher.close());
    return createBookedTeacher(teacher, store, batch.id);
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

    waitingFor: (batchId) => waits.get(batchId),

    async close() {
      await Promise.all(closing.map((close) => close()));
    },
  };
}

// --- internal ---

/** Without the time of the next try: samples that wait for the same are counted together, and shown once. */
function describeWait({ endpoint, reason }: { endpoint: string; reason: string }): string {
  return `${endpoint}: ${reason}; it is tried again until it answers`;
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
