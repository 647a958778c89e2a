/** All that an agent made of its files, out of one sandbox and into another one of the same image. */

import type { GuestClient } from './guest-client.ts';
import { REQUEST } from './wire.ts';

const TIMEOUT_MS = 150_000;
/** A frame holds a little more. */
const MAX_TREE_BYTES = 60 * 1024 ** 2;

/** In the guest's own form; undefined where it is more than `maxBytes`, or than one answer holds. */
export function saveTree(
  guest: GuestClient,
  places: string[],
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const texts = places.map((text) => ({ text }));
  const most = Math.floor(Math.min(maxBytes, MAX_TREE_BYTES));
  return guest
    .ask(REQUEST.save, [{ u64: most }, { u32: texts.length }, ...texts], (body) => body.rest(), {
      timeoutMs: TIMEOUT_MS,
      onTooMuch: () => new TooLarge(),
    })
    .catch((error: unknown) => {
      if (error instanceof TooLarge) return undefined;
      throw error;
    });
}

/** Whether it could be done. One that was begun leaves the sandbox in no state to be used. */
export function restoreTree(guest: GuestClient, tree: Uint8Array): Promise<boolean> {
  return guest.ask(REQUEST.restore, [{ text: tree }], (body) => body.u8() === 1, {
    timeoutMs: TIMEOUT_MS,
  });
}

// --- internal ---

class TooLarge extends Error {}
