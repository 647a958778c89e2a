/** Asks a sandbox's guest until it has answered or can't: every request may be repeated, so a lost connection is made again. */

import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { EngineUnavailable, SandboxLost } from '../domain/ports.ts';
import { toSandboxError, whyLost } from './container.ts';
import { type Engine, statusOf } from './engine.ts';
import {
  connectGuest,
  GuestGone,
  type GuestOwner,
  GuestRefused,
  type GuestConnection,
} from './guest.ts';
import { type BodyReader, type Field, GUEST_ERROR, type RequestType } from './wire.ts';

/** An engine that is started again takes seconds; a host under load may take longer. */
const OUTAGE_MS = 60_000;
/** A container that runs and whose guest can't be reached any more is lost. */
const TRIES = 5;
/** How often a container that is silent is looked at: it may be paused, or gone without a word. */
const LOOK_EVERY_MS = 5_000;

export interface AskOptions {
  /** For all tries together. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** What to throw when there is no answer in time, and when the guest has more than an answer holds; SandboxLost by default. */
  onTimeout?: () => Error;
  onTooMuch?: () => Error;
  /** Sent just before the request, on the same connection. */
  before?: (connection: GuestConnection) => void;
}

export interface GuestClient {
  readonly container: string;
  /** Throws SandboxLost, EngineUnavailable, or what the options say; rejects with the signal's reason. */
  ask<T>(
    type: RequestType,
    fields: Field[],
    read: (body: BodyReader) => T,
    options: AskOptions,
  ): Promise<T>;
  /** Lets go of the guest; its lease begins to run out. */
  close(): void;
}

/** A client of the guest in a running container; `stdio` is the stream of whoever started it. Nothing is connected before it is asked. */
export function createGuestClient(
  engine: Engine,
  container: string,
  owner: GuestOwner,
  stdio?: Duplex,
): GuestClient {
  let unused = stdio;
  let connecting: Promise<GuestConnection> | undefined;
  let isClosed = false;
  const lost = (reason: string, cause?: unknown) =>
    new SandboxLost(`Sandbox ${container.slice(0, 12)} is lost: ${reason}.`, { cause });

  async function connection(): Promise<GuestConnection> {
    for (;;) {
      if (isClosed) throw lost('it was closed');
      const latest = connecting;
      const open = await latest?.catch(() => undefined);
      if (connecting !== latest) continue; // another request has begun to connect meanwhile
      if (open?.isOpen) return open;
      connecting = connectGuest(engine, container, owner, unused);
      unused = undefined;
      return connecting;
    }
  }

  /** Judges a failure: returns where another try may help, throws the contract's error where not. */
  async function judge(
    error: unknown,
    tried: number,
    since: number,
    { onTooMuch }: AskOptions,
  ): Promise<void> {
    if (error instanceof RangeError) throw lost(`its guest sent ${error.message}`, error);
    if (error instanceof GuestRefused) {
      if (error.code === GUEST_ERROR.tooMuch && onTooMuch) throw onTooMuch();
      if (error.code === GUEST_ERROR.interrupted && tried < TRIES) return;
      throw lost(error.message, error);
    }
    const isAway = error instanceof GuestGone || error instanceof EngineUnavailable;
    if (!isAway && statusOf(error) === undefined) throw error;
    const reason = await whyLost(engine, container).catch((cause: unknown) => {
      if (cause instanceof EngineUnavailable) return undefined;
      throw cause;
    });
    if (reason !== undefined) throw lost(reason, error);
    if (!isAway) throw toSandboxError(error, container);
    if (error instanceof GuestGone && tried >= TRIES) throw lost(error.message, error);
    if (performance.now() - since > OUTAGE_MS) throw error;
  }

  return {
    container,
    async ask(type, fields, read, options) {
      const since = performance.now();
      const deadline = since + options.timeoutMs;
      for (let tried = 1, pauseMs = 20; ; tried++, pauseMs = Math.min(2 * pauseMs, 2000)) {
        options.signal?.throwIfAborted();
        try {
          const guest = await connection();
          options.before?.(guest);
          return await watch(guest.request(type, fields, read), deadline, options);
        } catch (error) {
          options.signal?.throwIfAborted();
          await judge(error, tried, since, options);
          await sleep(pauseMs);
        }
      }
    },
    close() {
      isClosed = true;
      unused?.destroy();
      connecting?.then(
        (open) => open.close(),
        () => {},
      );
    },
  };

  /** The answer, or the end of waiting for it: in time, aborted, or the container can't answer any more. */
  function watch<T>(answer: Promise<T>, deadline: number, options: AskOptions): Promise<T> {
    const { timeoutMs, signal, onTimeout } = options;
    return new Promise<T>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        clearInterval(looking);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const fail = (error: unknown) => end(() => reject(error));
      const timer = setTimeout(
        () => fail(onTimeout?.() ?? lost(`it gave no answer in ${timeoutMs} ms`)),
        Math.max(1, deadline - performance.now()),
      );
      const looking = setInterval(
        () =>
          void whyLost(engine, container).then(
            (reason) => reason !== undefined && fail(lost(reason)),
            () => {}, // an engine that is away says nothing about the container
          ),
        LOOK_EVERY_MS,
      );
      const onAbort = () => fail(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      answer.then((value) => end(() => resolve(value)), fail);
    });
  }
}
