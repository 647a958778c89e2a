/** Asks a sandbox's guest until it has answered or can't: every request may be repeated, so a lost connection is made again. */

import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { EngineUnavailable, SandboxLost } from '../domain/ports.ts';
import { toSandboxError, whyLost } from './container.ts';
import { type Engine, statusOf } from './engine.ts';
import { connectGuest, GuestGone, GuestRefused, type GuestConnection } from './guest.ts';
import { type BodyReader, type Field, GUEST_ERROR, type RequestType } from './wire.ts';

/** An engine that is started again takes seconds; a host under load may take longer. */
const OUTAGE_MS = 60_000;
/** A container that runs and whose guest can't be reached any more is lost. */
const TRIES = 5;
/** How often a container that is silent is looked at: it may be paused, or gone without a word. */
const LOOK_EVERY_MS = 5_000;

export interface GuestOwner {
  epoch: number;
  leaseMs: number;
  /** All that the commands in it start with. */
  environment: Record<string, string>;
}

export interface AskOptions {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** What to throw when there is no answer in time; SandboxLost by default. */
  onTimeout?: () => Error;
  /** Sent just before the request, on the same connection. */
  before?: (connection: GuestConnection) => void;
}

export interface GuestClient {
  readonly container: string;
  /**
   * Throws SandboxLost, EngineUnavailable, GuestRefused ('too much' alone: the rest means that the sandbox is lost); rejects
   * with the signal's reason.
   */
  ask<T>(
    type: RequestType,
    fields: Field[],
    read: (body: BodyReader) => T,
    options: AskOptions,
  ): Promise<T>;
  /** Lets go of the guest; its lease begins to run out. */
  close(): void;
}

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
  async function judge(error: unknown, tried: number, since: number): Promise<void> {
    if (error instanceof RangeError) throw lost(`its guest sent ${error.message}`, error);
    if (error instanceof GuestRefused) {
      if (error.code === GUEST_ERROR.tooMuch) throw error;
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
    if (Date.now() - since > OUTAGE_MS) throw error;
  }

  return {
    container,
    async ask(type, fields, read, options) {
      const since = Date.now();
      for (let tried = 1, pauseMs = 20; ; tried++, pauseMs = Math.min(2 * pauseMs, 2000)) {
        options.signal?.throwIfAborted();
        try {
          const guest = await connection();
          options.before?.(guest);
          return await watch(guest.request(type, fields, read), options);
        } catch (error) {
          options.signal?.throwIfAborted();
          await judge(error, tried, since);
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
  function watch<T>(answer: Promise<T>, { timeoutMs, signal, onTimeout }: AskOptions): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(onTimeout?.() ?? lost(`it gave no answer in ${timeoutMs} ms`)),
        timeoutMs,
      );
      const looking = setInterval(
        () =>
          void whyLost(engine, container).then(
            (reason) => reason !== undefined && reject(lost(reason)),
            () => {}, // an engine that is away says nothing about the container
          ),
        LOOK_EVERY_MS,
      );
      const onAbort = () => reject(signal?.reason as Error);
      signal?.addEventListener('abort', onAbort, { once: true });
      answer.then(resolve, reject).finally(() => {
        clearTimeout(timer);
        clearInterval(looking);
        signal?.removeEventListener('abort', onAbort);
      });
    });
  }
}
