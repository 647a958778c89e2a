/** Verifier containers: one per prepared image, used again while extractions follow one another, gone when they don't. */

import { EngineUnavailable, SandboxLost } from '../domain/ports.ts';
import { removeContainer, startContainer } from './container.ts';
import type { Engine } from './engine.ts';
import { CapPassed } from './extract.ts';
import { createGuestClient } from './guest-client.ts';
import { guestOf } from './guest-volume.ts';
import { createVerifier, type Verifier, VERIFIER_ENVIRONMENT } from './verifier.ts';

const LIMITS = {
  memoryBytes: 2 * 1024 ** 3,
  cpus: 2,
  maxProcesses: 256,
  maxFileBytes: 4 * 1024 ** 3,
};
const IDLE_MS = 10_000;
const LEASE_MS = 60_000;

export interface Verifiers {
  /**
   * Works with a verifier of an image; `work` may be run twice. One that failed is not used again. Throws EngineUnavailable,
   * the engine's answers with a status, and what `work` throws.
   */
  use<T>(imageId: string, work: (verifier: Verifier) => Promise<T>): Promise<T>;
  /** Removes those that nobody uses now, and from now on each when it is free. */
  close(): Promise<void>;
}

interface Entry {
  started: Promise<{ verifier: Verifier; remove(): Promise<void> }>;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

/** Verifiers of one installation; their containers carry its labels. */
export function createVerifiers(engine: Engine, installation: string): Verifiers {
  const entries = new Map<string, Entry>();
  let idleMs = IDLE_MS;

  async function start(imageId: string) {
    const { container, stdio } = await startContainer(engine, {
      imageId,
      labels: { installation, role: 'verifier', process: engine.process },
      limits: LIMITS,
      network: false,
      guest: await guestOf(engine, installation, imageId, LEASE_MS),
    });
    const guest = createGuestClient(
      engine,
      container,
      {
        epoch: 1,
        leaseMs: LEASE_MS,
        environment: VERIFIER_ENVIRONMENT,
      },
      stdio,
    );
    return {
      verifier: createVerifier({
        ...guest,
        ask: (type, fields, read, options) =>
          asEngineTrouble(guest.ask(type, fields, read, options)),
      }),
      async remove() {
        guest.close();
        await removeContainer(engine, container);
      },
    };
  }

  async function retire(imageId: string, entry: Entry): Promise<void> {
    if (entries.get(imageId) === entry) entries.delete(imageId);
    clearTimeout(entry.idle);
    if (entry.users > 0) return; // its last user comes here again
    const started = await entry.started.catch(() => undefined);
    await started?.remove().catch(() => undefined); // the reaper's, later
  }

  async function useOnce<T>(imageId: string, work: (verifier: Verifier) => Promise<T>): Promise<T> {
    const entry = entries.get(imageId) ?? { started: start(imageId), users: 0, idle: undefined };
    entries.set(imageId, entry);
    clearTimeout(entry.idle);
    entry.users += 1;
    let isSound = false;
    try {
      const result = await work((await entry.started).verifier);
      isSound = true;
      return result;
    } finally {
      entry.users -= 1;
      if (!isSound || entries.get(imageId) !== entry) await retire(imageId, entry);
      else if (entry.users === 0)
        entry.idle = setTimeout(() => void retire(imageId, entry), idleMs).unref();
    }
  }

  return {
    async use(imageId, work) {
      const isShared = entries.has(imageId);
      try {
        return await useOnce(imageId, work);
      } catch (error) {
        // One that others use, or used before, may have ended by their doing: a fresh one says what is true of this question.
        if (!isShared || error instanceof CapPassed) throw error;
        return useOnce(imageId, work);
      }
    },
    async close() {
      idleMs = 0;
      await Promise.all([...entries].map(([imageId, entry]) => retire(imageId, entry)));
    },
  };
}

// --- internal ---

/** A verifier that is lost is trouble of the engine: the sandbox whose patch it makes is not. */
async function asEngineTrouble<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof SandboxLost)) throw error;
    throw new EngineUnavailable(`The container that compares trees went: ${error.message}`, {
      cause: error,
    });
  }
}
