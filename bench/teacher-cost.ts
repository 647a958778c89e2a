/** What one call costs this machine beside the endpoint's own time: the client, its JSON and the ledger; early and late in a rollout. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOOLS } from '../agent/tools/profile.ts';
import { batchConfigSchema } from '../domain/config.ts';
import { rolloutId } from '../domain/ids.ts';
import type { Message } from '../domain/trajectory.ts';
import { openStore } from '../store/open.ts';
import { createTeacher } from '../teacher/client.ts';
import { toRequestBody } from '../teacher/request.ts';
import { createBookedTeacher } from '../worker/booked-teacher.ts';
import { commandOf } from './command-mix.ts';
import { measureLitellm } from './peers/litellm.ts';
import { startTeacherProcess } from './teacher-process.ts';

const STEPS = [1, 60] as const;
/** Of each step. */
const CALLS = 200;
/** A worker runs for days, with its code compiled and its connections open. */
const WARM_UP_CALLS = 2000;
const OBSERVATION_CHARS = 2000;
const BATCH = 'bench';

/** One figure per harness and step: milliseconds per call, less what the endpoint worked. */
export async function benchCalls(
  { peers }: { peers: boolean },
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  const teacher = await startTeacherProcess();
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
  try {
    const store = await openStore(folder);
    const { teacher: config } = batchConfigSchema.parse({
      name: BATCH,
      teacher: { endpoints: [{ baseUrl: teacher.baseUrl, model: 'bench' }] },
    });
    const client = createTeacher(config, { apiKey: () => Promise.resolve(undefined) });
    const booked = createBookedTeacher(client, store.spend);
    const ask = async (messages: Message[], step: number, calls: number) => {
      const scope = rolloutId(BATCH, '000000-000000', 1, 1);
      const before = { cpu: process.cpuUsage(), ms: performance.now() };
      for (let call = 1; call <= calls; call += 1) {
        await booked.complete({ messages, tools: TOOLS }, { scope, step, try: call }, signal);
      }
      const { user, system } = process.cpuUsage(before.cpu);
      return {
        wallMs: (performance.now() - before.ms) / calls,
        cpuMs: (user + system) / 1000 / calls,
      };
    };

    note('measuring calls');
    const figures: object[] = [];
    const figure = (
      harness: string,
      step: number,
      took: { wallMs: number; cpuMs: number },
      endpointMs: number,
    ) =>
      figures.push({
        bench: 'teacher',
        figure: 'call',
        harness,
        step,
        ownMs: rounded(took.wallMs - endpointMs),
        cpuMs: rounded(took.cpuMs),
        endpointMs: rounded(endpointMs),
      });
    await ask(conversation(1), 1, WARM_UP_CALLS);
    for (const step of STEPS) {
      await ask(conversation(step), step, CALLS / 5);
      await teacher.cpuMsMean();
      const took = await ask(conversation(step), step, CALLS);
      figure('twinpatch', step, took, await teacher.cpuMsMean());
    }
    await client.close();
    await store.close();
    if (!peers) return figures;

    note('measuring calls of litellm');
    await teacher.cpuMsMean();
    const [endpoint] = config.endpoints;
    const requests = STEPS.flatMap((step) => {
      if (endpoint === undefined) return [];
      const body = toRequestBody(
        { messages: conversation(step), tools: TOOLS },
        endpoint,
        config,
        false,
      );
      return [JSON.parse(body.toString()) as { messages: object[]; tools: object[] }];
    });
    const work = { baseUrl: teacher.baseUrl, model: 'bench', requests, calls: CALLS / 2 };
    const took = await measureLitellm(work, signal, note);
    const endpointMs = await teacher.cpuMsMean();
    for (const [index, each] of took.entries())
      figure('litellm', STEPS[index] ?? 0, each, endpointMs);
    return figures;
  } finally {
    await teacher.close();
    await rm(folder, { recursive: true, force: true });
  }
}

// --- internal ---

/** What is sent at a step: a task, and for each step before a turn and what its command printed. */
function conversation(step: number): Message[] {
  const turns = Array.from({ length: step - 1 }, (_, index): Message[] => [
    {
      role: 'assistant',
      content: 'I look at what is there, then I decide where the change belongs.',
      reasoning: 'First the file itself.',
      toolCalls: [
        {
          id: `call_${index}`,
          name: 'bash',
          arguments: JSON.stringify({ command: commandOf(index) }),
        },
      ],
    },
    { role: 'tool', toolCallId: `call_${index}`, content: 'x'.repeat(OBSERVATION_CHARS) },
  ]);
  return [
    { role: 'system', content: 'You work in a repository.' },
    { role: 'user', content: 'Something is off around `restock_3`.' },
    ...turns.flat(),
  ];
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
