/** One endpoint: a request goes out, a whole reply or an error comes back. Nothing is retried here. */

import OpenAI, { APIError } from 'openai';
import type { BatchConfig } from '../domain/config.ts';
import type { CompletionRequest } from '../domain/ports.ts';
import { BrokenReply, classify, toFailure } from './classify.ts';
import { watchReply, type Watch } from './deadlines.ts';
import { asRecord, parseJson } from './json.ts';
import { createAssembler, fromCompletion, type RawReply } from './raw-reply.ts';
import { toRequestBody } from './request.ts';
import { isGivenUp } from './reply.ts';
import { readEvents } from './sse.ts';
import { createTransport } from './transport.ts';

export type EndpointConfig = BatchConfig['teacher']['endpoints'][number];

/** More than any reply a model writes; an endpoint that never stops must not fill the memory. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
/** The package would otherwise cut a call by its own clock. */
const NEVER_MS = 2 ** 31 - 1;

export interface Ask {
  request: CompletionRequest;
  key: string | undefined;
  signal: AbortSignal;
  /** The endpoint began to answer. */
  onFirstByte: () => void;
}

export interface Endpoint {
  readonly config: EndpointConfig;
  /** For people and records: host and port, never a user name or key. */
  readonly host: string;
  /** One request. Throws what went wrong, for `classify`; rejects with the signal's reason when it aborts. */
  ask(ask: Ask): Promise<RawReply>;
  close(): void;
}

/** Keeps one client and its connections for as long as the teacher lives. */
export function createEndpoint(config: EndpointConfig, teacher: BatchConfig['teacher']): Endpoint {
  const transport = createTransport();
  const client = new OpenAI({
    baseURL: config.baseUrl,
    // The key is sent per request, because it may be rotated; nothing may come from OPENAI_* variables instead.
    apiKey: 'sent per request',
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    fetch: transport.fetch,
    maxRetries: 0,
    timeout: NEVER_MS,
    logLevel: 'off',
  });
  let streams = config.stream ?? true;

  async function askOnce({ request, key, signal, onFirstByte }: Ask, isStreamed: boolean) {
    const { deadlines } = teacher;
    // A plain reply comes all at once: its first byte is its last.
    const watch = watchReply(
      isStreamed ? deadlines : { ...deadlines, firstByteMs: deadlines.totalMs },
      signal,
    );
    try {
      const body = toRequestBody(request, config, teacher, isStreamed);
      const response = await client
        .post('/chat/completions', {
          body,
          signal: watch.signal,
          headers: {
            'content-type': 'application/json',
            ...config.headers,
            ...keyHeader(config, key),
          },
        })
        .asResponse();
      return await readReply(response.headers, transport.bodyOf(response), watch, onFirstByte);
    } catch (error) {
      throw watch.signal.aborted ? (watch.signal.reason as Error) : error;
    } finally {
      watch.stop();
    }
  }

  return {
    config,
    host: new URL(config.baseUrl).host,
    async ask(ask) {
      try {
        return await askOnce(ask, streams);
      } catch (error) {
        if (!streams || !classify(toFailure(error), 0).refusesStreaming) throw error;
        streams = false;
        return askOnce(ask, false);
      }
    },
    close: () => transport.close(),
  };
}

function keyHeader({ keyHeader: name }: EndpointConfig, key: string | undefined) {
  // Null keeps the package from sending one of its own.
  if (name === undefined) return { Authorization: key === undefined ? null : `Bearer ${key}` };
  return { Authorization: null, ...(key !== undefined && { [name]: key }) };
}

/** The whole reply, or BrokenReply; of a cut one nothing is kept. An endpoint may answer plainly though a stream was asked for. */
async function readReply(
  headers: Headers,
  body: AsyncIterable<Uint8Array>,
  watch: Watch,
  onFirstByte: () => void,
) {
  const type = headers.get('content-type') ?? '';
  const bytes = watched(body, watch, onFirstByte);
  const reply = /json|html/i.test(type)
    ? fromCompletion(await readBody(bytes, headers))
    : await readStream(bytes, watch, headers);
  if (reply === undefined) throw new BrokenReply('the reply has no choices');
  if (isGivenUp(reply)) {
    throw new BrokenReply(`the endpoint gave the reply up (${String(reply.finishReason)})`);
  }
  return reply;
}

async function* watched(body: AsyncIterable<Uint8Array>, watch: Watch, onFirstByte: () => void) {
  let size = 0;
  for await (const chunk of body) {
    if (size === 0) onFirstByte();
    watch.touch();
    size += chunk.byteLength;
    if (size > MAX_REPLY_BYTES) {
      throw new BrokenReply(`the reply is longer than ${MAX_REPLY_BYTES} bytes`);
    }
    yield chunk;
  }
}

async function readBody(bytes: AsyncIterable<Uint8Array>, headers: Headers): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  const body = parseJson(text);
  if (body === undefined) throw new BrokenReply(`${text.slice(0, 200)} (no JSON)`);
  throwIfError(body, headers);
  return body;
}

async function readStream(bytes: AsyncIterable<Uint8Array>, watch: Watch, headers: Headers) {
  const assembler = createAssembler();
  let isComplete = false;
  try {
    for await (const data of readEvents(bytes)) {
      // After the end mark the stream is only read to its end, so that the connection can be used again.
      if (isComplete) continue;
      if (data.trim() === '[DONE]') {
        isComplete = true;
        watch.complete();
        continue;
      }
      const chunk = parseJson(data);
      if (chunk === undefined) throw new BrokenReply('the stream holds something that is no JSON');
      throwIfError(chunk, headers);
      assembler.add(chunk);
    }
  } catch (error) {
    if (!isComplete) throw error;
  }
  if (!isComplete && !assembler.finished()) throw new BrokenReply('the stream was cut');
  return assembler.reply();
}

/** Some endpoints say 200 first, and what went wrong in the body. */
function throwIfError(body: unknown, headers: Headers): void {
  const error = asRecord(body)['error'];
  if (error === undefined || error === null) return;
  const object = typeof error === 'string' ? { message: error } : error;
  throw new APIError(200, object, undefined, headers);
}
