/**
 * A tiny OpenAI-compatible endpoint on the loopback interface, run as a child process so that its work is not counted as ours:
 * every turn asks for one `bash` call, with the next command of the mix. Sends its address to the parent, and ends with it.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { commandOf } from './command-mix.ts';

const USAGE = { prompt_tokens: 1000, completion_tokens: 40, total_tokens: 1040 };
/** Replies in turn, made before the first request: no harness should wait for more than the wire. */
const REPLIES = 1024;
/** A harness that wants its reply streamed says so before its messages. */
const SETTINGS_BYTES = 2000;

const replies = Array.from({ length: REPLIES }, (_, number) => ({
  plain: Buffer.from(toPlain(number)),
  streamed: Buffer.from(toStream(number)),
}));
let served = 0;
let cpuBefore = process.cpuUsage();

const server = createServer((request, response) => {
  let settings = '';
  request.on('data', (chunk: Buffer) => (settings ||= chunk.toString('latin1', 0, SETTINGS_BYTES)));
  request.on('end', () => answer(request, response, settings));
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({ baseUrl: `http://127.0.0.1:${port}/v1` });
});
process.on('message', () => {
  const { user, system } = process.cpuUsage(cpuBefore);
  process.send?.({ cpuMsMean: (user + system) / 1000 / Math.max(1, served) });
  cpuBefore = process.cpuUsage();
  served = 0;
});
process.on('disconnect', () => process.exit());
// The parent closes the channel when it is done; an interrupt of the terminal reaches it as well.
process.on('SIGINT', () => undefined);

// --- internal ---

function answer(request: IncomingMessage, response: ServerResponse, settings: string): void {
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"error":{"message":"only POST /v1/chat/completions is here"}}');
    return;
  }
  const reply = replies[served % REPLIES];
  served += 1;
  const isStreamed = /"stream": ?true/.test(settings);
  const body = isStreamed ? reply?.streamed : reply?.plain;
  response.writeHead(200, {
    'content-type': isStreamed ? 'text/event-stream' : 'application/json',
    'content-length': body?.length,
  });
  response.end(body);
}

function toPlain(number: number): string {
  return JSON.stringify({
    ...head(number, 'chat.completion'),
    choices: [{ index: 0, message: toMessage(number), finish_reason: 'tool_calls' }],
    usage: USAGE,
  });
}

function toStream(number: number): string {
  const { tool_calls: calls, ...message } = toMessage(number);
  const deltas = [
    { delta: message, finish_reason: null },
    { delta: { tool_calls: calls.map((call) => ({ index: 0, ...call })) }, finish_reason: null },
    { delta: {}, finish_reason: 'tool_calls' },
  ];
  const chunks = deltas.map((choice) => ({
    ...head(number, 'chat.completion.chunk'),
    choices: [{ index: 0, ...choice }],
  }));
  const usage = { ...head(number, 'chat.completion.chunk'), choices: [], usage: USAGE };
  const events = [...chunks, usage].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
  return `${events.join('')}data: [DONE]\n\n`;
}

function head(number: number, object: string): object {
  return { id: `chatcmpl-${number}`, object, created: 0, model: 'bench' };
}

function toMessage(number: number) {
  const call = { name: 'bash', arguments: JSON.stringify({ command: commandOf(number) }) };
  return {
    role: 'assistant',
    content: 'I look at what is there, then I decide where the change belongs.',
    tool_calls: [{ id: `call_${number}`, type: 'function', function: call }],
  };
}
