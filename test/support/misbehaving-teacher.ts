/** The scripted teacher behind an endpoint that misbehaves in every way that users have met. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseJson } from '../../teacher/json.ts';
import { answer, type Character } from '../../teacher/scripted/answer.ts';
import {
  chance,
  parseRequest,
  type ScriptedCall,
  type ScriptedReply,
  type ScriptedRequest,
  toChunks,
  toCompletionBody,
} from '../../teacher/scripted/wire.ts';

/**
 * `refused`: nothing was generated. `cut`: a reply was generated, and can't be used. `odd`: it can, though it looks different.
 * `turn`: it is another one, which a model might have written; the next one is the scripted teacher's again.
 */
type Kind = 'refused' | 'cut' | 'odd' | 'turn';

interface Fault {
  name: string;
  kind: Kind;
  respond(response: ServerResponse, asked: Asked): void | Promise<void>;
}

interface Asked {
  request: ScriptedRequest;
  reply: ScriptedReply;
  /** 0 to 1, of this request. */
  random: number;
}

export const CLASSES = [
  'L1',
  'L2',
  'L3',
  'L4',
  'L5',
  'L6',
  'L7',
  'L8',
  'L9',
  'L10',
  'L11',
  'L12',
] as const;
export type FaultClass = (typeof CLASSES)[number];

export interface Misbehaving {
  baseUrl: string;
  /** Requests by what became of them, and replies that were generated for a conversation that had one. */
  counts: Record<Kind | 'good' | 'again', number>;
  /** Names of the faults there were. */
  faults: Set<string>;
  close(): Promise<void>;
}

/** So many of the requests meet a fault of these classes. `rotateKey` returns the only key that is taken from then on. */
export async function startMisbehavingTeacher(options: {
  character: Character;
  classes: readonly FaultClass[];
  rate: number;
  rotateKey: () => string;
}): Promise<Misbehaving> {
  const { character, classes, rate } = options;
  const counts = { refused: 0, cut: 0, odd: 0, turn: 0, good: 0, again: 0 };
  const faults = new Set<string>();
  const tries = new Map<string, number>();
  const generated = new Set<string>();
  let key = options.rotateKey();

  async function respond(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const parsed = parseRequest(parseJson(body.toString()));
    if (parsed === undefined) throw new Error('no messages');
    if (incoming.headers.authorization !== `Bearer ${key}`)
      return sendError(response, 401, 'wrong key');

    const id = createHash('sha256').update(body).digest('hex');
    const nth = (tries.get(id) ?? 0) + 1;
    tries.set(id, nth);
    const { messages, isAfterOddTurn } = withoutOddTurns(parsed);
    const request = { ...parsed, messages };
    const asked = { request, reply: answer(request, character), random: chance(id, nth, 'how') };
    const fault =
      chance(id, nth, 'whether') < rate
        ? pickFault(classes, chance(id, nth, 'which'), asked, isAfterOddTurn)
        : undefined;
    counts[fault?.kind ?? 'good'] += 1;
    if (fault !== undefined) faults.add(fault.name);
    if (fault?.kind !== 'refused') {
      if (generated.has(id)) counts.again += 1;
      generated.add(id);
    }
    if (fault?.name === 'a rotated key') key = options.rotateKey();
    if (fault === undefined) sendStream(response, toChunks(request, asked.reply));
    else await fault.respond(response, asked);
  }

  const server = createServer((incoming, response) => {
    respond(incoming, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    counts,
    faults,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

// --- internal ---

function pickFault(
  classes: readonly FaultClass[],
  random: number,
  { reply, request }: Asked,
  isAfterOddTurn: boolean,
): Fault | undefined {
  const name = classes[Math.floor(random * classes.length)] ?? 'L1';
  const fitting = FAULTS[name].filter(({ kind, ...fault }) => {
    // Outside a rollout the same question would be asked again; three of them in a row end one.
    if (kind === 'turn' && (!request.hasTools || isAfterOddTurn)) return false;
    return !('needsCall' in fault) || reply.calls.length > 0;
  });
  return fitting[Math.floor(((random * classes.length) % 1) * fitting.length)];
}

/** The conversation as it would have been without the odd turns and what they were answered. */
function withoutOddTurns({ messages }: ScriptedRequest) {
  const kept: typeof messages = [];
  let isOdd = false;
  for (const message of messages) {
    if (message.role === 'assistant') isOdd = ODD_TEXTS.has(message.content);
    if (!isOdd) kept.push(message);
  }
  return { messages: kept, isAfterOddTurn: isOdd };
}

function sendError(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message } }));
}

function toEvents(chunks: object[], lineEnd = '\n'): string {
  return [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]']
    .map((data) => `data: ${data}${lineEnd}${lineEnd}`)
    .join('');
}

function sendStream(response: ServerResponse, chunks: object[]): void {
  sendText(response, toEvents(chunks));
}

function sendText(response: ServerResponse, text: string, type = 'text/event-stream'): void {
  response.setHeader('content-type', type);
  response.end(text);
}

function refused(status: number, message: string, headers?: Record<string, string>): Fault {
  return {
    name: `${status} ${message} ${JSON.stringify(headers ?? {})}`,
    kind: 'refused',
    respond: (response) => sendError(response, status, message, headers),
  };
}

/** The whole reply, in another form. */
function odd(
  name: string,
  send: (response: ServerResponse, chunks: object[]) => void | Promise<void>,
): Fault {
  return {
    name,
    kind: 'odd',
    respond: (response, { request, reply }) => send(response, toChunks(request, reply)),
  };
}

/** The reply with its call written in another way. */
function oddCall(
  name: string,
  change: (call: object & { function: ScriptedCall }) => object,
): Fault {
  return Object.assign(
    odd(name, (response, chunks) => {
      const calls = chunks.flatMap((chunk) => callsOf(chunk));
      const [first] = calls;
      if (first === undefined) return sendStream(response, chunks);
      const text = calls.map((call) => call.function.arguments).join('');
      const whole = change({ ...first, function: { ...first.function, arguments: text } });
      const others = chunks.filter((chunk) => callsOf(chunk).length === 0);
      const one = { ...others[0], choices: [{ index: 0, delta: { tool_calls: [whole] } }] };
      sendStream(response, [...others.slice(0, -2), one, ...others.slice(-2)]);
    }),
    { needsCall: true },
  );
}

interface Chunk {
  choices: { delta: { tool_calls?: (object & { function: ScriptedCall })[] } }[];
  usage?: object;
}

function callsOf(chunk: object) {
  return (chunk as Chunk).choices[0]?.delta.tool_calls ?? [];
}

const ODD_TEXT = 'Let me say something else first.';
/** As the conversation has them afterwards. */
const ODD_TEXTS = new Set([ODD_TEXT, '(empty reply)']);

/** Another turn than the scripted one. */
function turn(name: string, reply: Partial<ScriptedReply>, reason?: string): Fault {
  return {
    name,
    kind: 'turn',
    respond(response, { request }) {
      const chunks = toChunks(request, { content: ODD_TEXT, calls: [], ...reply });
      const text = toEvents(chunks);
      sendText(
        response,
        reason ? text.replace(/"finish_reason":"\w+"/, `"finish_reason":"${reason}"`) : text,
      );
    },
  };
}

const cutAnywhere: Fault = {
  name: 'a cut stream',
  kind: 'cut',
  respond(response, { request, reply, random }) {
    const text = Buffer.from(toEvents(toChunks(request, reply)));
    const end = text.indexOf('"finish_reason":"');
    response.setHeader('content-type', 'text/event-stream');
    response.write(text.subarray(0, Math.floor(random * end)), () => response.destroy());
    if (Math.floor(random * end) === 0) response.destroy();
  },
};

const call = (name: string, args: string) => ({ calls: [{ name, arguments: args }] });

const FAULTS: Record<FaultClass, Fault[]> = {
  L1: [
    refused(429, 'slow down'),
    refused(429, 'slow down', { 'retry-after': '2' }),
    refused(429, 'slow down', { 'retry-after-ms': '1500' }),
    refused(429, 'slow down', { 'retry-after': 'Fri, 31 Dec 2100 23:59:59 GMT' }),
    refused(429, 'slow down', { 'retry-after': '99999999' }),
  ],
  L2: [
    ...[500, 502, 503, 504, 529].map((status) => refused(status, 'something broke')),
    { name: 'a reset', kind: 'refused', respond: (response) => void response.destroy() },
  ],
  L3: [
    refused(401, 'wrong key'),
    refused(402, 'no credit'),
    refused(403, 'not for you'),
    refused(404, 'no such model'),
  ],
  L4: [
    { name: 'silence', kind: 'refused', respond: () => undefined },
    {
      name: 'silence within the reply',
      kind: 'cut',
      respond(response, { request, reply }) {
        response.setHeader('content-type', 'text/event-stream');
        response.write(toEvents(toChunks(request, reply)).slice(0, 60));
      },
    },
    {
      name: 'a reply that drips for ever',
      kind: 'cut',
      respond(response) {
        response.setHeader('content-type', 'text/event-stream');
        const timer = setInterval(() => response.write(': '), 100);
        response.once('close', () => clearInterval(timer));
      },
    },
  ],
  L5: [
    cutAnywhere,
    odd('no [DONE]', (response, chunks) =>
      sendText(response, toEvents(chunks).replace('data: [DONE]\n\n', '')),
    ),
    odd('an end that comes twice', (response, chunks) =>
      sendStream(response, [...chunks, ...chunks.slice(-2)]),
    ),
    odd('CRLF', (response, chunks) => sendText(response, toEvents(chunks, '\r\n'))),
    odd('a byte order mark', (response, chunks) => sendText(response, `\uFEFF${toEvents(chunks)}`)),
    odd('data in several lines', (response, chunks) =>
      sendText(response, toEvents(chunks).replaceAll('"choices":', '\ndata: "choices":')),
    ),
    odd('bytes by threes', async (response, chunks) => {
      response.setHeader('content-type', 'text/event-stream');
      const text = Buffer.from(toEvents(chunks));
      for (let at = 0; at < text.length; at += 3) {
        response.write(text.subarray(at, at + 3));
        if (at % 99 === 0) await new Promise(setImmediate);
      }
      response.end();
    }),
  ],
  L6: [
    turn('broken off within its arguments', call('bash', '{"command": "rm -rf /tes'), 'length'),
    turn('broken off within its text', {}, 'length'),
  ],
  L7: [
    oddCall('arguments as an object', (each) => ({
      ...each,
      function: { ...each.function, arguments: JSON.parse(each.function.arguments) as unknown },
    })),
    oddCall('an empty object before', (each) =>
      withArguments(each, `{}${each.function.arguments}`),
    ),
    oddCall('text in text', (each) => withArguments(each, JSON.stringify(each.function.arguments))),
    oddCall('a bracket too many', (each) => withArguments(each, `${each.function.arguments}}`)),
    oddCall('no id', (each) => ({ ...each, id: '' })),
    oddCall('a name with its namespace', (each) => ({
      ...each,
      function: { ...each.function, name: `functions.${each.function.name}` },
    })),
    odd('another finish reason', (response, chunks) =>
      sendText(
        response,
        toEvents(chunks).replace('"finish_reason":"tool_calls"', '"finish_reason":"stop"'),
      ),
    ),
    turn('an unknown tool', call('browse', '{"url": "http://example.com"}')),
    turn('a field that is missing', call('bash', '{}')),
    turn('NaN', call('bash', '{"command": NaN}')),
    {
      name: 'five megabytes that are no JSON',
      kind: 'turn',
      respond(response, { request }) {
        const reply = { content: ODD_TEXT, ...call('bash', `{"command": "${'x'.repeat(5 << 20)}`) };
        sendText(response, JSON.stringify(toCompletionBody(request, reply)), 'application/json');
      },
    },
    turn('calls announced, and none there', {}, 'tool_calls'),
    turn('two calls', {
      calls: ['ls', 'pwd'].map((command) => ({
        name: 'bash',
        arguments: JSON.stringify({ command }),
      })),
    }),
  ],
  L8: [
    odd('reasoning in tags', (response, chunks) => {
      const text = toEvents(chunks).replace(
        /"delta":\{"reasoning_content":("(?:[^"\\]|\\.)*")\}/,
        (_, json: string) => {
          const content = `<think>${JSON.parse(json) as string}</think>\n\n`;
          return `"delta":${JSON.stringify({ content })}`;
        },
      );
      sendText(response, text);
    }),
    turn('nothing', { content: '' }),
    turn('a refusal', {}),
    turn('a filtered reply', {}, 'content_filter'),
  ],
  L9: [
    {
      name: 'a page',
      kind: 'refused',
      respond: (response) => sendText(response, '<html>Sign in</html>', 'text/html'),
    },
    {
      name: 'an error with status 200',
      kind: 'refused',
      respond: (response) =>
        sendText(
          response,
          '{"error": {"message": "upstream failed", "code": 502}}',
          'application/json',
        ),
    },
    {
      name: 'gzip that is none',
      kind: 'refused',
      respond(response) {
        response.setHeader('content-encoding', 'gzip');
        sendText(response, 'this is not compressed');
      },
    },
    odd('another model', (response, chunks) =>
      sendStream(
        response,
        chunks.map((chunk) => ({ ...chunk, model: 'somebody-else' })),
      ),
    ),
    odd('negative usage', (response, chunks) =>
      sendStream(response, withUsage(chunks, { prompt_tokens: -5, completion_tokens: -1 })),
    ),
  ],
  L10: [
    odd('a slow reply', async (response, chunks) => {
      await sleep(700);
      sendStream(response, chunks);
    }),
  ],
  L11: [
    odd('no usage', (response, chunks) => sendStream(response, chunks.slice(0, -1))),
    odd('usage that is none', (response, chunks) =>
      sendStream(response, withUsage(chunks, { prompt_tokens: 'many', completion_tokens: 1e300 })),
    ),
  ],
  L12: [
    {
      name: 'a rotated key',
      kind: 'refused',
      respond: (response) => sendError(response, 401, 'this key was rotated'),
    },
  ],
};

function withArguments(each: object & { function: ScriptedCall }, text: string) {
  return { ...each, function: { ...each.function, arguments: text } };
}

function withUsage(chunks: object[], usage: object): object[] {
  return chunks.map((chunk) => ('usage' in chunk ? { ...chunk, usage } : chunk));
}
