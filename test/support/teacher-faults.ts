/** Every way in which users have met a misbehaving endpoint, by the classes L1 to L12: what it sends in place of the reply. */

import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import {
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
export type Kind = 'refused' | 'cut' | 'odd' | 'turn';

export interface Fault {
  name: string;
  kind: Kind;
  respond(response: ServerResponse, asked: Asked): void | Promise<void>;
}

export interface Asked {
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

export function sendError(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message } }));
}

export function sendStream(response: ServerResponse, chunks: object[]): void {
  sendText(response, toEvents(chunks));
}

const ODD_TEXT = 'Let me say something else first.';
/** Texts of such turns, as the conversation has them afterwards. */
export const ODD_TEXTS = new Set([ODD_TEXT, '(empty reply)']);

function toEvents(chunks: object[], lineEnd = '\n'): string {
  return [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]']
    .map((data) => `data: ${data}${lineEnd}${lineEnd}`)
    .join('');
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

function withArguments(each: object & { function: ScriptedCall }, text: string) {
  return { ...each, function: { ...each.function, arguments: text } };
}

function withUsage(chunks: object[], usage: object): object[] {
  return chunks.map((chunk) => ('usage' in chunk ? { ...chunk, usage } : chunk));
}

/** What an endpoint may do, by class. */
export const FAULTS: Record<FaultClass, Fault[]> = {
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
