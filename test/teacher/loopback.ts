/** A chat endpoint on loopback that does what a test tells it to, and a teacher whose waiting takes no time. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { BatchConfig } from '../../domain/config.ts';
import { type CallId, type Completion, TeacherError } from '../../domain/ports.ts';
import type { Message } from '../../domain/trajectory.ts';
import type { Clock } from '../../teacher/clock.ts';
import { createTeacher, type TeacherDeps, type Wait } from '../../teacher/client.ts';

export interface Received {
  /** Counted from 1. */
  number: number;
  body: string;
  headers: IncomingMessage['headers'];
}

export type Behaviour = (response: ServerResponse, received: Received) => void;

export interface Loopback {
  baseUrl: string;
  host: string;
  received: Received[];
}

/** The nth request gets the nth behaviour, later ones the last. Closed when the test ends. */
export async function startLoopback(...behaviours: [Behaviour, ...Behaviour[]]): Promise<Loopback> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const entry = {
        number: received.length + 1,
        body: Buffer.concat(chunks).toString(),
        headers: request.headers,
      };
      received.push(entry);
      const behaviour = behaviours[entry.number - 1] ?? behaviours.at(-1);
      behaviour?.(response, entry);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { baseUrl: `http://${host}/v1`, host, received };
}

export const CHUNKS = [
  { choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] },
  { choices: [{ index: 0, delta: { reasoning_content: 'Überlegung' } }] },
  { choices: [{ index: 0, delta: { content: 'I look: é' } }] },
  {
    choices: [
      {
        index: 0,
        delta: {
          tool_calls: [
            { index: 0, id: 'c1', type: 'function', function: { name: 'bash', arguments: '' } },
          ],
        },
      },
    ],
  },
  {
    choices: [
      { index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '{"command":' } }] } },
    ],
  },
  {
    choices: [
      { index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '"ls"}' } }] } },
    ],
  },
  { model: 'm-1', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
  {
    choices: [],
    usage: {
      prompt_tokens: 100,
      completion_tokens: 20,
      prompt_tokens_details: { cached_tokens: 64 },
    },
  },
];

/** What CHUNKS say. */
export const SAID = {
  role: 'assistant',
  content: 'I look: é',
  reasoning: 'Überlegung',
  toolCalls: [{ id: 'c1', name: 'bash', arguments: '{"command":"ls"}' }],
};

export function toSse(chunks: object[], { lineEnd = '\n', done = true } = {}): string {
  const events = [...chunks.map((chunk) => JSON.stringify(chunk)), ...(done ? ['[DONE]'] : [])];
  return events.map((event) => `data: ${event}${lineEnd}${lineEnd}`).join('');
}

/** Streams the reply of CHUNKS. */
export const good: Behaviour = (response) => {
  response.setHeader('content-type', 'text/event-stream');
  response.end(toSse(CHUNKS));
};

export function status(
  code: number,
  body: unknown,
  headers: Record<string, string> = {},
): Behaviour {
  return (response) => {
    response.writeHead(code, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

type TeacherConfig = BatchConfig['teacher'];
type EndpointConfig = TeacherConfig['endpoints'][number];

export const CALL: CallId = { scope: 'batch/sample/rollout-1.1', step: 3, try: 1 };
export const MESSAGES: Message[] = [{ role: 'user', content: 'Please look.' }];

export interface Setup {
  config?: Partial<TeacherConfig>;
  endpoint?: Partial<EndpointConfig>;
  apiKey?: TeacherDeps['apiKey'];
  share?: TeacherDeps['share'];
  /** One whose waiting takes no time, when left out. */
  clock?: Clock;
}

/** A teacher over these endpoints; `waited` are its sleeps in milliseconds, each of which takes no time. */
export function startTeacher(endpoints: { baseUrl: string }[], setup: Setup = {}) {
  let nowMs = Date.parse('2030-01-01T00:00:00Z');
  const waited: number[] = [];
  const waits: (Wait | null)[] = [];
  const teacher = createTeacher(
    {
      endpoints: endpoints.map(({ baseUrl }) => ({
        baseUrl,
        model: 'm',
        maxConcurrency: 4,
        ...setup.endpoint,
      })),
      temperature: 0.6,
      topP: 1,
      deadlines: { firstByteMs: 300, idleMs: 300, totalMs: 2000 },
      ...setup.config,
    },
    {
      apiKey: setup.apiKey ?? (async () => undefined),
      ...(setup.share && { share: setup.share }),
      onWait: (_call, wait) => waits.push(wait),
      clock: setup.clock ?? {
        now: () => nowMs,
        date: () => nowMs,
        random: () => 0,
        async sleep(ms) {
          waited.push(ms);
          nowMs += ms;
        },
      },
    },
  );
  onTestFinished(() => teacher.close());
  const ask = (
    messages = MESSAGES,
    call = CALL,
    signal = new AbortController().signal,
  ): Promise<Completion> => teacher.complete({ messages }, call, signal);
  /** The error of a call that has to fail. */
  const askInVain = async (): Promise<TeacherError> => {
    const error = await ask().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error instanceof TeacherError) return error;
    throw new Error(`expected a TeacherError, got ${String(error)}`);
  };
  return { teacher, ask, askInVain, waited, waits };
}
