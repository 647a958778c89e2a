/**
 * Removal of a rollout's container by an owner of it, which a newer owner's is safe from: the guest refuses who is older, and once
 * it has agreed to be removed it is nobody's any more, so that none takes it over meanwhile.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { readLabel } from '../domain/ids.ts';
import { SandboxLost } from '../domain/ports.ts';
import { removeContainer } from './container.ts';
import { call, type Engine, statusOf } from './engine.ts';
import { GuestRefused } from './guest.ts';
import { createGuestClient, type GuestClient } from './guest-client.ts';
import { GUEST_ERROR, REQUEST } from './wire.ts';

const END_TIMEOUT_MS = 10_000;
const GIVE_UP_MS = 30_000;

/**
 * Removes the container of a guest as the owner that asks it; of one that can't be asked, `isNewest` says whether it is the
 * owner's to remove. Throws SandboxLost where a newer owner has it, EngineUnavailable, and the engine's answers with a status.
 */
export async function removeAsOwner(
  engine: Engine,
  guest: GuestClient,
  isNewest: () => Promise<boolean>,
): Promise<void> {
  try {
    await guest.ask(REQUEST.end, [], () => undefined, { timeoutMs: END_TIMEOUT_MS });
  } catch (error) {
    if (isOutrun(error) || !(error instanceof SandboxLost)) throw error;
    if (!(await isNewest())) throw outrun(guest.container);
  } finally {
    guest.close();
  }
  await removeContainer(engine, guest.container);
}

/**
 * Removes what older owners of a rollout left under its container's name; nothing there is fine. Throws as `removeAsOwner`, also
 * for a container that was made for a newer owner.
 */
export async function removeOlder(
  engine: Engine,
  name: string,
  epoch: number,
  isNewest: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (let pauseMs = 20; performance.now() < deadline; pauseMs *= 2) {
    const found = await inspect(engine, name);
    if (found === undefined) return;
    if (madeFor(found.Config.Labels) > epoch) throw outrun(name);
    const { Running, Paused } = found.State;
    if (Running || Paused) {
      const owner = { epoch, leaseMs: END_TIMEOUT_MS, environment: {} };
      return removeAsOwner(engine, createGuestClient(engine, found.Id, owner), isNewest);
    }
    if (await removeResting(engine, found.Id)) return;
    await sleep(pauseMs);
  }
  throw new SandboxLost(`Sandbox ${name} can't be removed: it neither runs nor goes.`);
}

/** The epoch of the owner that a container was made for. */
export function madeFor(engineLabels: Record<string, string>): number {
  return Number(readLabel(engineLabels, 'epoch') ?? 0);
}

/** Whether an error says that a newer owner has the sandbox. */
export function isOutrun(error: unknown): boolean {
  const cause = (error as Error | null)?.cause;
  return cause instanceof GuestRefused && cause.code === GUEST_ERROR.stale;
}

// --- internal ---

function outrun(name: string): SandboxLost {
  return new SandboxLost(`Sandbox ${name} is an owner's of a newer epoch.`, {
    cause: new GuestRefused(GUEST_ERROR.stale, 'made for a newer owner'),
  });
}

async function inspect(engine: Engine, name: string) {
  try {
    return await call('container inspect', (abortSignal) =>
      engine.docker.getContainer(name).inspect({ abortSignal }),
    );
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** False where it has been started meanwhile, or another removal is under way: whoever started it may be newer, so not by force. */
async function removeResting(engine: Engine, container: string): Promise<boolean> {
  try {
    await call('container remove', (abortSignal) =>
      engine.docker.getContainer(container).remove({ v: true, abortSignal }),
    );
  } catch (error) {
    if (statusOf(error) === 409) return false;
    if (statusOf(error) !== 404) throw error;
  }
  return true;
}
