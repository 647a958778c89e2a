/** Which endpoint a call goes to: one of its model, the one that has its conversation cached as long as that serves it well. */

import { TEACHER_PATIENCE_MS } from '../domain/ports.ts';
import type { Trouble } from './classify.ts';
import type { Clock } from './clock.ts';
import type { Gate, Hold, Turn } from './gate.ts';

/** An endpoint that takes so many times longer than another one with a free slot is left to who finds no other. */
const SLOW = 3;
/** Conversations whose endpoint is remembered; more than any worker has under way. */
const HOMES = 10_000;

/** One call on its way, over all its tries. */
export interface Asking {
  /** Rollout or stage: what has one conversation. */
  readonly scope: string;
  /** Input tokens, roughly. */
  readonly tokens: number;
  /** Gates that it leaves alone after a failure there. */
  readonly avoid: Map<Gate, { trouble: Trouble; untilMs: number }>;
  /** Set by its first wait or failure. */
  patienceEndsMs: number | undefined;
}

export type Entered =
  | { kind: 'turn'; gate: Gate; turn: Turn }
  /** Its patience ends before any endpoint has room; `untilMs`: when one has, where that is known. */
  | { kind: 'given-back'; gate: Gate; hold: Hold; untilMs: number | undefined }
  /** All are blocked until somebody mends one. */
  | { kind: 'blocked'; gate: Gate; trouble: Trouble };

export interface Pool {
  readonly gates: readonly Gate[];
  /** Waits until an endpoint has room: first come, first served. Rejects with the signal's reason when it aborts. */
  enter(
    asking: Asking,
    signal: AbortSignal,
    onWait: (gate: Gate, hold: Hold, untilMs: number | undefined) => void,
  ): Promise<Entered>;
  /** The conversation is cached there now. */
  settle(scope: string, gate: Gate): void;
  /** A gate has more room than before. */
  changed(): void;
}

/** `serving`: the gates that serve the model of a scope; there is one at least. */
export function createPool(
  gates: readonly Gate[],
  serving: (scope: string) => readonly Gate[],
  clock: Clock,
): Pool {
  const homes = new Map<string, Gate>();
  const queue = new Set<Place>();

  function best(free: readonly Gate[], home: Gate | undefined): Gate | undefined {
    const fastestMs = Math.min(...free.map((gate) => gate.msPerReply() ?? Infinity));
    const isPoor = (gate: Gate) => gate.isSilent() || (gate.msPerReply() ?? 0) > SLOW * fastestMs;
    if (home !== undefined && free.includes(home) && !isPoor(home)) return home;
    return free.toSorted((a, b) => Number(isPoor(a)) - Number(isPoor(b)) || a.load() - b.load())[0];
  }

  /** A turn that has begun, or what hinders it; changes nothing else. */
  function tryToEnter({
    scope,
    tokens,
    avoid,
  }: Asking): Exclude<Entered, { kind: 'given-back' }> | Wait {
    const among = serving(scope);
    const now = clock.now();
    const free: Gate[] = [];
    const held: { gate: Gate; hold: Hold }[] = [];
    for (const gate of among) {
      const avoided = avoid.get(gate);
      const isAvoided = avoided !== undefined && avoided.untilMs > now;
      const hold = gate.hold(tokens) ?? (isAvoided ? { kind: 'paused', ...avoided } : undefined);
      if (hold === undefined) free.push(gate);
      else held.push({ gate, hold });
    }
    const gate = best(free, homes.get(scope) ?? among[hash(scope) % among.length]);
    if (gate !== undefined) return { kind: 'turn', gate, turn: gate.begin(tokens) };
    // Of several reasons the mildest: as long as one endpoint is only in full use, nothing needs mending.
    const [first] = held.toSorted(
      (a, b) => SEVERITY[a.hold.kind] - SEVERITY[b.hold.kind] || timeOf(a.hold) - timeOf(b.hold),
    );
    if (first === undefined) throw new Error('a model needs an endpoint');
    const { hold } = first;
    if (hold.kind === 'blocked')
      return { kind: 'blocked', gate: first.gate, trouble: hold.trouble };
    const untilMs = Math.min(...held.map((each) => timeOf(each.hold)));
    return { kind: 'wait', ...first, untilMs: Number.isFinite(untilMs) ? untilMs : undefined };
  }

  /** Until another call's end has let this one in (returns how), or that time has come (returns undefined). */
  async function waitInLine(
    asking: Asking,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<Entered | undefined> {
    const stop = new AbortController();
    const place: Place = { asking, entered: undefined, leave: () => stop.abort() };
    queue.add(place);
    signal.addEventListener('abort', place.leave, { once: true });
    try {
      await clock.sleep(Math.max(1, Math.ceil(untilMs - clock.now())), stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    } finally {
      queue.delete(place);
      signal.removeEventListener('abort', place.leave);
    }
    return place.entered;
  }

  return {
    gates,
    async enter(asking, signal, onWait) {
      for (;;) {
        signal.throwIfAborted();
        const now = clock.now();
        const tried = tryToEnter(asking);
        if (tried.kind !== 'wait') return tried;
        const { gate, hold, untilMs } = tried;
        const endsMs = (asking.patienceEndsMs ??= now + TEACHER_PATIENCE_MS);
        if (now >= endsMs || (untilMs ?? 0) > endsMs) return { ...tried, kind: 'given-back' };
        onWait(gate, hold, untilMs);
        const entered = await waitInLine(asking, Math.min(untilMs ?? endsMs, endsMs), signal);
        if (entered !== undefined) return entered;
      }
    },

    settle(scope, gate) {
      homes.delete(scope); // so that it becomes the newest
      homes.set(scope, gate);
      const [oldest] = homes.keys();
      if (homes.size > HOMES && oldest !== undefined) homes.delete(oldest);
    },

    changed() {
      for (const place of queue) {
        if (gates.every((gate) => gate.hold(0) !== undefined)) return;
        const tried = tryToEnter(place.asking);
        if (tried.kind === 'wait') continue;
        queue.delete(place);
        place.entered = tried;
        place.leave();
      }
    },
  };
}

// --- internal ---

/** A call in line. */
interface Place {
  asking: Asking;
  entered: Entered | undefined;
  leave(): void;
}

type Wait = { kind: 'wait'; gate: Gate; hold: Hold; untilMs: number | undefined };

const SEVERITY: Record<Hold['kind'], number> = { full: 0, minute: 1, paused: 2, blocked: 3 };

/** When it ends, as far as is known. */
function timeOf(hold: Hold): number {
  return hold.kind === 'full' ? Number.POSITIVE_INFINITY : hold.untilMs;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}
