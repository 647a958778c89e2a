/** The teacher: a pool of endpoints behind the `Teacher` port; temporary trouble is waited out here, everything else is thrown. */

import type { BatchConfig } from '../domain/config.ts';
import {
  type CallId,
  type Completion,
  type CompletionRequest,
  type Teacher,
  TEACHER_PATIENCE_MS,
  TeacherError,
} from '../domain/ports.ts';
import { classify, toFailure, type Trouble } from './classify.ts';
import { type Clock, realClock } from './clock.ts';
import { createEndpoint, type Endpoint, type EndpointConfig } from './endpoint.ts';
import { createPool, type Member } from './pool.ts';
import { costOf } from './price.ts';
import type { RawReply } from './raw-reply.ts';
import { createRedactor } from './redact.ts';
import { readReply, toFinishReason } from './reply.ts';
import { SCRIPTED_FINGERPRINT } from './scripted/wire.ts';
import { estimateUsage, parseUsage } from './usage.ts';

/** A call that was given back should not come again at once. */
const MIN_RETRY_LATER_MS = 30_000;

export interface Wait {
  /** Host of the endpoint. */
  endpoint: string;
  reason: string;
  /** When it is tried again; milliseconds since 1970. */
  untilMs: number;
}

export interface TeacherDeps {
  /** The key to send, read anew for every call; undefined where none is needed. A rejection blocks the endpoint. */
  apiKey(endpoint: EndpointConfig): Promise<string | undefined>;
  /** What is waited for now; null when nothing is any more. */
  onWait?: (wait: Wait | null) => void;
  clock?: Clock;
}

/**
 * A teacher over all endpoints of the configuration, which must have one: where it says `scripted`, the caller starts that server and puts its
 * address there. `close` drops the connections, once no call is under way. `complete` throws TeacherError: `rate-limit` and `unavailable` after TEACHER_PATIENCE_MS of waiting in place, with the time after
 * which another try is worth it; `auth` and `unknown-model` when every endpoint is blocked; `context` and `bad-request` at once.
 */
export function createTeacher(
  config: BatchConfig['teacher'],
  deps: TeacherDeps,
): Teacher & { close(): Promise<void> } {
  if (config.endpoints.length === 0) {
    throw new Error('the teacher has no endpoint: give at least one in `teacher.endpoints`');
  }
  const clock = deps.clock ?? realClock;
  const pool = createPool(
    config.endpoints.map((endpoint) => createEndpoint(endpoint, config)),
    clock,
  );
  const redactor = createRedactor();
  let waiting = 0;

  async function waitFor(wait: Wait, signal: AbortSignal): Promise<void> {
    waiting += 1;
    deps.onWait?.(wait);
    try {
      await clock.sleep(Math.max(1, wait.untilMs - clock.now()), signal);
    } catch (error) {
      throw signal.aborted ? (signal.reason as Error) : error;
    } finally {
      waiting -= 1;
      if (waiting === 0) deps.onWait?.(null);
    }
  }

  function toError({ endpoint }: Member, trouble: Trouble, retryAfterMs?: number): TeacherError {
    return new TeacherError(trouble.kind, describe(endpoint, trouble), {
      cause: new Error(trouble.reason),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }

  function toTrouble(thrown: unknown): Trouble {
    const trouble = classify(toFailure(thrown), clock.date());
    return { ...trouble, reason: redactor.redact(trouble.reason) };
  }

  async function readKey(endpoint: Endpoint): Promise<string | undefined> {
    const key = (await deps.apiKey(endpoint.config))?.trim();
    if (key !== undefined) redactor.add(key);
    return key === '' ? undefined : key;
  }

  /** A rotated key is worth a new try. */
  async function unblockWhereKeyChanged(): Promise<void> {
    for (const member of pool.members) {
      if (member.blocked === undefined) continue;
      const key = await readKey(member.endpoint).catch(() => undefined);
      if (key !== member.blocked?.key) member.blocked = undefined;
    }
  }

  type Asked =
    | { kind: 'reply'; raw: RawReply; durationMs: number }
    | { kind: 'trouble'; trouble: Trouble; key?: string | undefined };

  async function ask(
    member: Member,
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Asked> {
    const { endpoint } = member;
    pool.take(member);
    try {
      let key: string | undefined;
      try {
        key = await readKey(endpoint);
      } catch (error) {
        const reason = redactor.redact(error instanceof Error ? error.message : String(error));
        return {
          kind: 'trouble',
          trouble: { kind: 'auth', reason, refusesStreaming: false, isOurs: true },
        };
      }
      const startedMs = performance.now();
      try {
        const onFirstByte = () => pool.alive(member);
        const raw = await endpoint.ask({ request, key, signal, onFirstByte });
        return { kind: 'reply', raw, durationMs: Math.round(performance.now() - startedMs) };
      } catch (error) {
        signal.throwIfAborted();
        return { kind: 'trouble', trouble: toTrouble(error), key };
      }
    } finally {
      pool.release(member);
    }
  }

  function toCompletion(
    { endpoint }: Member,
    request: CompletionRequest,
    call: CallId,
    { raw, durationMs }: { raw: RawReply; durationMs: number },
  ): Completion {
    const { message, repairs } = readReply(raw, {
      step: call.step,
      tools: request.tools,
      textFormat: endpoint.config.toolCallFormat,
    });
    const usage = parseUsage(raw.usage);
    return {
      message,
      ...(repairs.length > 0 && { repairs }),
      finishReason: toFinishReason(raw),
      usage: usage ?? estimateUsage(request, message),
      costUsd: costOf(usage, endpoint.config.price ?? config.price),
      model: typeof raw.model === 'string' && raw.model !== '' ? raw.model : endpoint.config.model,
      endpoint: endpoint.host,
      simulated: raw.fingerprint === SCRIPTED_FINGERPRINT,
      durationMs,
    };
  }

  return {
    async complete(request, call, signal) {
      const avoid = new Map<Member, number>();
      let patienceEndsMs = Number.POSITIVE_INFINITY;
      let tries = 0;
      for (;;) {
        signal.throwIfAborted();
        await unblockWhereKeyChanged();
        const choice = pool.choose(call.scope, avoid);
        switch (choice.kind) {
          case 'full':
            await pool.released(signal);
            continue;
          case 'blocked':
            throw toError(choice.member, choice.trouble);
          case 'paused': {
            const { member, untilMs } = choice;
            const now = clock.now();
            patienceEndsMs = Math.min(patienceEndsMs, now + TEACHER_PATIENCE_MS);
            const trouble = member.lastTrouble ?? NO_ANSWER;
            if (untilMs > patienceEndsMs) {
              throw toError(
                member,
                trouble,
                Math.max(Math.ceil(untilMs - now), MIN_RETRY_LATER_MS),
              );
            }
            await waitFor(
              { endpoint: member.endpoint.host, reason: trouble.reason, untilMs },
              signal,
            );
            continue;
          }
          case 'member':
        }
        const { member } = choice;
        const asked = await ask(member, request, signal);
        if (asked.kind === 'reply') return toCompletion(member, request, call, asked);

        const { trouble } = asked;
        switch (trouble.kind) {
          case 'context':
          case 'bad-request':
            throw toError(member, trouble);
          case 'auth':
          case 'unknown-model':
            pool.block(member, trouble, asked.key);
            break;
          case 'rate-limit':
          case 'unavailable':
            tries += 1;
            patienceEndsMs = Math.min(patienceEndsMs, clock.now() + TEACHER_PATIENCE_MS);
            avoid.set(member, clock.now() + pool.failed(member, trouble, tries));
        }
      }
    },
    async close() {
      for (const { endpoint } of pool.members) endpoint.close();
    },
  };
}

const NO_ANSWER: Trouble = {
  kind: 'unavailable',
  reason: 'does not answer',
  refusesStreaming: false,
};

function describe({ host, config: { model } }: Endpoint, trouble: Trouble): string {
  const { kind, reason } = trouble;
  if (trouble.isOurs) return `There is no key to send to the endpoint ${host}: ${reason}.`;
  const said = `it said: ${reason}`;
  switch (kind) {
    case 'auth':
      return (
        `The endpoint ${host} refuses our key for ${model}; ${said}. ` +
        'Correct the file of `apiKeyFile`, and the batch goes on by itself; or the variable of `apiKeyEnv`, then run: twinpatch down && twinpatch up'
      );
    case 'unknown-model':
      return (
        `The endpoint ${host} does not serve ${model}; ${said}. ` +
        'Compare `model` and `baseUrl` of the endpoint with what its /models lists, or load the model there.'
      );
    case 'rate-limit':
      return (
        `The endpoint ${host} limits our rate for ${model}; ${said}. ` +
        'It is tried again later; a lower `maxConcurrency` avoids this.'
      );
    case 'unavailable':
      return (
        `The endpoint ${host} gives no usable reply for ${model}; ${reason}. ` +
        'It is tried again later; check that it runs and can be reached from this host.'
      );
    case 'context':
      return `The conversation is too long for ${model} at ${host}; ${said}.`;
    case 'bad-request':
      return (
        `The endpoint ${host} rejects the request for ${model}; ${said}. ` +
        'Check the settings under `teacher` against what the endpoint allows.'
      );
  }
}
