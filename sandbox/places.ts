/** Where in the sandboxes of an image the agent may write: looking for it goes through the whole of it, so it is done once. */

import type { GuestClient } from './guest-client.ts';
import { REQUEST } from './wire.ts';

const TIMEOUT_MS = 60_000;

/** Absolute paths of the topmost folders and files that a sandbox's agent may change. */
export type Places = (guest: GuestClient, imageId: string) => Promise<string[]>;

export function createPlaces(): Places {
  const places = new Map<string, Promise<string[]>>();
  return (guest, imageId) => {
    const known = places.get(imageId);
    if (known) return known;
    const found = guest.ask(
      REQUEST.places,
      [],
      (body) => Array.from({ length: body.u32() }, () => body.text()),
      { timeoutMs: TIMEOUT_MS },
    );
    places.set(imageId, found);
    found.catch(() => places.delete(imageId));
    return found;
  };
}
