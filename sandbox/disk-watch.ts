/**
 * Disks have no quota on most engines, so what sandboxes write is watched: each may keep so much, and together they leave a
 * reserve on the engine's disk. Below it nothing is started, and the sandbox that wrote most ends.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { type SandboxLimits, SandboxLost, type SandboxUsage } from '../domain/ports.ts';
import type { Engine } from './engine.ts';
import { type DiskSpace, freeOf, shortageOf } from './engine-disk.ts';
import type { GuestClient } from './guest-client.ts';
import type { Places } from './places.ts';
import { type BodyReader, REQUEST } from './wire.ts';

/** How often a command that takes long is looked at, and how often the engine's disk is. */
const LOOK_EVERY_MS = 1000;
const HOST_EVERY_MS = 5000;
/** Who waits for room goes on as soon as there is some. */
const ADMIT_EVERY_MS = 1000;
/**
 * Measuring walks through all that can be written to, so it is done when the disk has lost this share of a limit, and now and then,
 * because what others give back hides what a sandbox takes.
 */
const MEASURED_SHARE = 4;
const MEASURE_EVERY_MS = 10_000;
const TIMEOUT_MS = 60_000;
/** The guest itself gives up after two minutes. */
const MEASURE_TIMEOUT_MS = 150_000;
/** A sandbox that wrote less than this is not why a disk is full. */
const LEAST_OFFENCE_BYTES = 64 * 1024 ** 2;

/** The guest, and the shell that waits for the next command. */
const OWN_TASKS = 2;

/** An ended sandbox gives its room back when its rollout has ended; until then no other one is ended for it. */
const FREEING_MS = 60_000;

export interface DiskGuard {
  /**
   * Looks at the sandbox at most once a second while a command runs, and now and then after one that left something running;
   * gives the command's own end.
   */
  during<T extends { background: boolean }>(command: Promise<T>): Promise<T>;
  /** As of the last look. */
  usage(): SandboxUsage | undefined;
  /** The sandbox is gone. Has to be called once `during` was. */
  release(): void;
}

export interface DiskWatch {
  /**
   * Returns when the engine's disk has its reserve, or can't be read; tells meanwhile what it waits for. Rejects with the
   * signal's reason.
   */
  admit(signal: AbortSignal, onWaiting?: (reason: string) => void): Promise<void>;
  guard(guest: GuestClient, imageId: string, limits: SandboxLimits): DiskGuard;
}

interface Watched {
  guest: GuestClient;
  imageId: string;
  /** When its commands were ended for the room it takes, if they were. */
  endedAt?: number;
  /** Looks at it where something was left running and no command runs. */
  lookBetween?(): void;
}

/** Watches the sandboxes of an engine that are guarded here; `reserve` is asked at every look. */
export function createDiskWatch(
  engine: Engine,
  reserveOf: () => DiskSpace,
  placesOf: Places,
): DiskWatch {
  const watched = new Set<Watched>();
  let looking: NodeJS.Timeout | undefined;
  let isLooking = false;

  /** What is wrong with the engine's disk, or undefined. */
  async function shortage(): Promise<string | undefined> {
    const free = await freeOnEngine(engine, watched);
    return free && shortageOf(free, reserveOf());
  }

  /** Ends the commands of a sandbox, those of now and those to come. */
  async function end(one: Watched): Promise<void> {
    one.endedAt = performance.now();
    await one.guest.ask(REQUEST.limit, [], () => undefined, { timeoutMs: TIMEOUT_MS });
  }

  async function lookAtEngine(): Promise<void> {
    if ((await shortage()) === undefined) return;
    const isFreeing = ({ endedAt = -Infinity }: Watched) =>
      performance.now() - endedAt < FREEING_MS;
    if ([...watched].some(isFreeing)) return;
    const going = [...watched].filter(({ endedAt }) => endedAt === undefined);
    const measured = await Promise.all(
      going.map(async (one) => ({ one, bytes: (await measure(one)).bytes })),
    );
    const [worst] = measured.sort((a, b) => b.bytes - a.bytes);
    if (worst && worst.bytes >= LEAST_OFFENCE_BYTES) await end(worst.one);
  }

  /** What a sandbox takes on the disk; one that lets itself not be measured takes all there is. */
  async function measure({ guest, imageId }: Watched): Promise<DiskSpace> {
    try {
      const where = await placesOf(guest, imageId);
      const fields = [{ u32: where.length }, ...where.map((text) => ({ text }))];
      return await guest.ask(REQUEST.usage, fields, readSpace, { timeoutMs: MEASURE_TIMEOUT_MS });
    } catch (error) {
      if (error instanceof SandboxLost) return { bytes: Infinity, files: Infinity };
      throw error;
    }
  }

  function watch(one: Watched): void {
    watched.add(one);
    looking ??= setInterval(() => {
      for (const each of watched) each.lookBetween?.();
      if (isLooking) return;
      isLooking = true;
      // An engine that is away is told by whoever needs it.
      void lookAtEngine()
        .catch(() => undefined)
        .finally(() => (isLooking = false));
    }, HOST_EVERY_MS).unref();
  }

  return {
    async admit(signal, onWaiting) {
      for (let reason = await shortage(); reason !== undefined; reason = await shortage()) {
        onWaiting?.(reason);
        await sleep(ADMIT_EVERY_MS, undefined, { signal });
      }
    },

    guard(guest, imageId, limits) {
      const one: Watched = { guest, imageId };
      let before: DiskSpace | undefined;
      let usage: SandboxUsage | undefined;
      let lookedAt = -Infinity;
      let measuredAt = performance.now();
      let isLookedAt = false;
      let commands = 0;
      let hasLeft = false;

      async function look(): Promise<void> {
        const { free, ...rest } = await guest.ask(REQUEST.stat, [], readStat, {
          timeoutMs: TIMEOUT_MS,
        });
        usage = rest;
        if (commands === 0 && usage.tasks <= OWN_TASKS) hasLeft = false;
        before ??= free;
        const lost = { bytes: before.bytes - free.bytes, files: before.files - free.files };
        if (
          performance.now() - measuredAt < MEASURE_EVERY_MS &&
          lost.bytes * MEASURED_SHARE < limits.maxDiskBytes &&
          lost.files * MEASURED_SHARE < limits.maxDiskFiles
        )
          return;
        measuredAt = performance.now();
        const used = await measure(one);
        if (used.bytes > limits.maxDiskBytes || used.files > limits.maxDiskFiles) await end(one);
        // What others wrote, or what is deleted by now, is not looked for again.
        else if (used.bytes * 2 < limits.maxDiskBytes && used.files * 2 < limits.maxDiskFiles)
          before = free;
      }

      function lookIfDue(): void {
        if (isLookedAt || performance.now() - lookedAt < LOOK_EVERY_MS) return;
        isLookedAt = true;
        lookedAt = performance.now();
        // The command itself says when the sandbox can't be reached.
        void look()
          .catch(() => undefined)
          .finally(() => (isLookedAt = false));
      }

      one.lookBetween = () => {
        if (hasLeft && commands === 0) lookIfDue();
      };

      return {
        async during(command) {
          watch(one);
          lookIfDue();
          const timer = setInterval(lookIfDue, LOOK_EVERY_MS);
          commands += 1;
          try {
            const result = await command;
            hasLeft ||= result.background;
            return result;
          } finally {
            commands -= 1;
            clearInterval(timer);
          }
        },
        usage: () => usage,
        release() {
          watched.delete(one);
          if (watched.size > 0) return;
          clearInterval(looking);
          looking = undefined;
        },
      };
    },
  };
}

// --- internal ---

/** Room on the disk that containers write to, told by this host where it is the engine's, else by a sandbox on it. */
async function freeOnEngine(engine: Engine, watched: Set<Watched>): Promise<DiskSpace | undefined> {
  const here = await freeOf(engine);
  if (here !== undefined) return here;
  for (const { guest } of watched) {
    const free = await guest
      .ask(REQUEST.stat, [], readSpace, { timeoutMs: TIMEOUT_MS })
      .catch(() => undefined);
    if (free) return free;
  }
  return undefined;
}

function readStat(body: BodyReader): SandboxUsage & { free: DiskSpace } {
  const free = readSpace(body);
  return { free, tasks: body.u64(), memoryBytes: body.u64(), memoryKills: body.u64() };
}

function readSpace(body: BodyReader): DiskSpace {
  return { bytes: body.u64(), files: body.u64() };
}
