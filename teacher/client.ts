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
import { costOf } from '../domain/price.ts';
import { modelIdOf, modelOf } from '../domain/stage-key.ts';
import type { Share } from '../domain/store.ts';
import { classify, toFailure, type Trouble } from './classify.ts';
import { type Clock, realClock } from './clock.ts';
import { createEndpoint, type Endpoint, type EndpointConfig } from './endpoint.ts';
import { createGate, type Gate, type Turn } from './gate.ts';
import { type Asking, createPool, type Entered } from './pool.ts';
import type { RawReply } from './raw-reply.ts';
import { createRedactor } from './redact.ts';
import { readReply, toFinishReason } from './reply.ts';
import { SCRIPTED_FINGERPRINT } from './scripted/wire.ts';
import { estimateInputTokens, estimateUsage, parseUsage } from './usage.ts';
import { describeHold, describeTrouble } from './words.ts';

/** A call that was given back should not come again at once. */
const MIN_RETRY_LATER_MS = 30_000;
const ALONE: Share = { index: 0, of: 1 };

export interface Wait {
  /** Host of the endpoint. */
  endpoint: string;
  /** What is wrong, and what to do about it. */
  reason: string;
  /** When the call is tried again, in milliseconds since 1970; undefined: as soon as another one has ended. */
  untilMs: number | undefined;
}

export interface TeacherDeps {
  /** The key to send, read anew for every call; undefined where none is needed. A rejection blocks the endpoint. */
  apiKey(endpoint: EndpointConfig): Promise<string | undefined>;
  /** What of the limits is this worker's; all, when left out. Asked again and again. */
  share?: () => Share;
  /** What a call waits for now; null when it does no more. */
  onWait?: (call: CallId, wait: Wait | null) => void;
  /** Asked right before every request that goes out, which a rejection keeps from going; it is `complete`'s then. */
  admit?: (call: CallId, signal: AbortSignal) => Promise<void>;
  clock?: Clock;
}

/**
 * A teacher over all endpoints of the configuration, which must have one: where it says `scripted`, the caller starts that server
 * and puts its address there. `close` drops the connections, once no call is under way.
 *
 * A call goes to an endpoint of its sample's model. `complete` throws TeacherError: `rate-limit` and `unavailable` after
 * TEACHER_PATIENCE_MS of waiting in place, with the time after which another try is worth it; `auth`, `no-credit` and
 * `unknown-model` when every endpoint of the model is blocked; `context` and `bad-request` at once.
 */
export function createTeacher(
  config: BatchConfig['teacher'],
  deps: TeacherDeps,
): Teacher & {
  /** Calls under way at each endpoint. */
  loads(): { endpoint: string; model: string; callsUnderWay: number }[];
  close(): Promise<void>;
} {
  if (config.endpoints.length === 0) {
    throw new Error('the teacher has no endpoint: give at least one in `teacher.endpoints`');
  }
  const clock = deps.clock ?? realClock;
  const gates = config.endpoints.map((endpoint) =>
    createGate(createEndpoint(endpoint, config), clock, deps.share ?? (() => ALONE)),
  );
  const pool = createPool(gates, gatesByModel(config, gates), clock);
  const countsTokens = config.endpoints.some((each) => each.tokensPerMinute !== undefined);
  const redactor = createRedactor();

  function toTrouble(thrown: unknown): Trouble {
    const trouble = classify(toFailure(thrown), clock.date());
    return { ...trouble, reason: redactor.redact(trouble.reason) };
  }

  async function readKey({ config: endpoint }: Endpoint): Promise<string | undefined> {
    const key = (await deps.apiKey(endpoint))?.trim();
    if (key !== undefined) redactor.add(key);
    return key === '' ? undefined : key;
  }

  /** A rotated key is worth a new try. */
  async function unblockWhereKeyChanged(): Promise<void> {
    for (const gate of gates) {
      const blocked = gate.blockedKey();
      if (blocked === undefined) continue;
      const key = await readKey(gate.endpoint).catch(() => undefined);
      if (key !== blocked.key) gate.unblock();
    }
  }

  /** A turn at an endpoint. Throws TeacherError when there is none to be had. */
  async function enter(
    asking: Asking,
    call: CallId,
    signal: AbortSignal,
  ): Promise<Extract<Entered, { kind: 'turn' }>> {
    let waited = false;
    try {
      const entered = await pool.enter(asking, signal, ({ endpoint }, hold, untilMs) => {
        waited = true;
        deps.onWait?.(call, {
          endpoint: endpoint.host,
          reason: describeHold(endpoint, hold),
          untilMs: untilMs && Math.ceil(clock.date() + untilMs - clock.now()),
        });
      });
      if (entered.kind === 'turn') return entered;
      const { endpoint } = entered.gate;
      if (entered.kind === 'blocked') throw toError(endpoint, entered.trouble);
      const { hold, untilMs = 0 } = entered;
      throw new TeacherError(
        'trouble' in hold ? hold.trouble.kind : 'rate-limit',
        describeHold(endpoint, hold),
        { retryAfterMs: Math.max(Math.ceil(untilMs - clock.now()), MIN_RETRY_LATER_MS) },
      );
    } finally {
      if (waited) deps.onWait?.(call, null);
    }
  }

  type Asked =
    | { kind: 'reply'; raw: RawReply; durationMs: number }
    | { kind: 'trouble'; trouble: Trouble; key?: string | undefined };

  async function ask(
    { endpoint }: Gate,
    turn: Turn,
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Asked> {
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
      const onFirstByte = () => {
        turn.heard();
        pool.changed();
      };
      const raw = await endpoint.ask({ request, key, signal, onFirstByte });
      return { kind: 'reply', raw, durationMs: Math.round(performance.now() - startedMs) };
    } catch (error) {
      signal.throwIfAborted();
      return { kind: 'trouble', trouble: toTrouble(error), key };
    }
  }

  function toCompletion(
    { config: endpoint, host }: Endpoint,
    request: CompletionRequest,
    call: CallId,
    { raw, durationMs }: { raw: RawReply; durationMs: number },
  ): Completion {
    const { message, repairs } = readReply(raw, {
      step: call.step,
      tools: request.tools,
      textFormat: endpoint.toolCallFormat,
    });
    const usage = parseUsage(raw.usage);
    const price = endpoint.price ?? config.price;
    return {
      message,
      ...(repairs.length > 0 && { repairs }),
      finishReason: toFinishReason(raw),
      usage: usage ?? estimateUsage(request, message),
      costUsd: costOf(usage, price),
      ...(price !== undefined && { price }),
      model: typeof raw.model === 'string' && raw.model !== '' ? raw.model : endpoint.model,
      endpoint: host,
      simulated: raw.fingerprint === SCRIPTED_FINGERPRINT,
      durationMs,
    };
  }

  return {
    async complete(request, call, signal) {
      const asking: Asking = {
        scope: call.scope,
        tokens: countsTokens ? estimateInputTokens(request) : 0,
        avoid: new Map(),
        patienceEndsMs: undefined,
      };
      for (let failures = 0; ;) {
        await unblockWhereKeyChanged();
        const { gate, turn } = await enter(asking, call, signal);
        try {
          await deps.admit?.(call, signal);
          const asked = await ask(gate, turn, request, signal);
          if (asked.kind === 'reply') {
            const completion = toCompletion(gate.endpoint, request, call, asked);
            turn.replied(completion.usage.inputTokens + completion.usage.outputTokens);
            pool.settle(call.scope, gate);
            return completion;
          }
          const { trouble } = asked;
          switch (trouble.kind) {
            case 'context':
            case 'bad-request':
              turn.rejected();
              throw toError(gate.endpoint, trouble);
            case 'auth':
            case 'no-credit':
            case 'unknown-model':
              turn.blocked(trouble, asked.key);
              break;
            case 'rate-limit':
            case 'unavailable': {
              failures += 1;
              const waitMs = turn.failed(trouble, failures);
              const now = clock.now();
              asking.avoid.set(gate, { trouble, untilMs: now + waitMs });
              asking.patienceEndsMs ??= now + TEACHER_PATIENCE_MS;
              if (now >= asking.patienceEndsMs) {
                throw toError(gate.endpoint, trouble, MIN_RETRY_LATER_MS);
              }
            }
          }
        } finally {
          turn.abandoned(); // unless it has ended
          pool.changed();
        }
      }
    },
    loads: () =>
      gates.map(({ endpoint, inFlight }) => ({
        endpoint: endpoint.host,
        model: endpoint.config.model,
        callsUnderWay: inFlight(),
      })),
    async close() {
      for (const { endpoint } of gates) endpoint.close();
    },
  };
}

// --- internal ---

/** The gates that serve the model of a scope's sample. */
function gatesByModel(config: BatchConfig['teacher'], gates: Gate[]): (scope: string) => Gate[] {
  const byModel = new Map<string, Gate[]>();
  for (const gate of gates) {
    const model = modelIdOf(config, gate.endpoint.config);
    byModel.set(model, [...(byModel.get(model) ?? []), gate]);
  }
  return (scope) => {
    const [, sampleKey = ''] = scope.split('/');
    return byModel.get(modelOf(config, sampleKey)) ?? gates;
  };
}

function toError(endpoint: Endpoint, trouble: Trouble, retryAfterMs?: number): TeacherError {
  return new TeacherError(trouble.kind, describeTrouble(endpoint, trouble), {
    cause: new Error(trouble.reason),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
