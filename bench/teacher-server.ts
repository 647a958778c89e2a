/**
 * A tiny OpenAI-compatible endpoint on the loopback interface, run as a child process so that its work is not counted as ours:
 * every turn asks for one `bash` call, with the next command of the mix. Sends its address to the parent, and ends with it.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { commandOf } from './command-mix.ts';

let served = 0;
let serviceMs = 0;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const start = performance.now();
    answer(request, response, Buffer.concat(chunks));
    serviceMs += performance.now() - start;
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({ baseUrl: `http://127.0.0.1:${port}/v1` });
});
process.on('message', () => process.send?.({ served, serviceMs }));
process.on('disconnect', () => process.exit());
// The parent closes the channel when it is done; an interrupt of the terminal reaches it as well.
process.on('SIGINT', () => undefined);

// --- internal ---

function answer(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"error":{"message":"only POST /v1/chat/completions is here"}}');
    return;
  }
  const number = served;
  served += 1;
  const isStreamed = /"stream": ?true/.test(body.toString('latin1', 0, 2000));
  response.writeHead(200, {
    'content-type': isStreamed ? 'text/event-stream' : 'application/json',
  });
  response.end(isStreamed ? toStream(number) : toPlain(number));
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

const USAGE = { prompt_tokens: 1000, completion_tokens: 40, total_tokens: 1040 };
