/** The Sandbox port over one container of a Docker engine and the guest in it. */

import type { Duplex } from 'node:stream';

import {
  type PreparedSandbox,
  type SandboxLimits,
  SandboxLost,
  type SandboxRef,
} from '../domain/ports.ts';
import { readResult, toRunFields } from './command.ts';
import type { DiskWatch } from './disk-watch.ts';
import type { Engine } from './engine.ts';
import { extractPatch } from './extract.ts';
import { listIn, readFileIn, writeFileIn } from './files.ts';
import type { GuestOwner } from './guest.ts';
import { createGuestClient } from './guest-client.ts';
import type { Places } from './places.ts';
import { isOutrun, removeAsOwner } from './removal.ts';
import { restoreTree, saveTree } from './saved-tree.ts';
import type { Verifiers } from './verifiers.ts';
import { REQUEST } from './wire.ts';

/** Beyond a command's own limit: for killing its processes, and for a host under load. */
const ANSWER_MARGIN_MS = 60_000;
const STOP_TIMEOUT_MS = 60_000;

/** The sandbox in a running container. */
export function createDockerSandbox(
  engine: Engine,
  ref: SandboxRef,
  owner: GuestOwner,
  host: {
    verifiers: Verifiers;
    disk: DiskWatch;
    placesOf: Places;
    limits: SandboxLimits;
    onClosed: () => void;
  },
  stdio?: Duplex,
): PreparedSandbox {
  const guest = createGuestClient(engine, ref.container, owner, stdio);
  const disk = host.disk.guard(guest, ref.imageId, host.limits);
  /** Commands whose results are here: the next command says that they are safe, and the guest forgets them. */
  const delivered = new Set<string>();
  let isStopped = false;

  function usable() {
    if (isStopped) throw new SandboxLost(`Sandbox ${ref.container.slice(0, 12)} is stopped.`);
    return guest;
  }

  async function stop(): Promise<void> {
    isStopped = true;
    await guest.ask(REQUEST.stop, [], () => undefined, { timeoutMs: STOP_TIMEOUT_MS });
  }

  return {
    ref,
    async run(request, signal) {
      const safe = delivered.has(request.id) ? [] : [...delivered];
      const result = await disk.during(
        usable().ask(
          REQUEST.run,
          toRunFields(request),
          (body) => readResult(body, request, owner.environment),
          {
            timeoutMs: request.timeoutMs + ANSWER_MARGIN_MS,
            signal,
            before: (connection) =>
              safe.forEach((id) => connection.tell(REQUEST.acknowledge, [{ text: id }])),
          },
        ),
      );
      for (const id of safe) delivered.delete(id);
      delivered.add(request.id);
      return result;
    },
    readFile: async (path, maxBytes) => readFileIn(usable(), path, maxBytes),
    writeFile: async (path, bytes) => writeFileIn(usable(), path, bytes),
    list: async (path, depth) => listIn(usable(), path, depth),
    stop,
    async extractPatch(caps) {
      await stop();
      return extractPatch(guest, (work) => host.verifiers.use(ref.imageId, work), caps);
    },
    saveTree: async (maxBytes) =>
      saveTree(usable(), await host.placesOf(guest, ref.imageId), maxBytes),
    restoreTree: async (tree) => restoreTree(usable(), tree),
    usage: () => disk.usage(),
    leave() {
      isStopped = true;
      disk.release();
      guest.close();
      host.onClosed();
    },
    async close() {
      disk.release();
      try {
        await removeAsOwner(engine, guest, async () => true);
      } catch (error) {
        if (!isOutrun(error)) throw error; // it is the newer owner's, to use and to remove
      } finally {
        host.onClosed();
      }
    },
  };
}
