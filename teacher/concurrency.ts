/** How many calls one endpoint may have under way: fewer whenever it refuses some (429), slowly more again while it takes them. */

/** Of what it was: the least, where refused calls alone don't tell what the endpoint takes. */
const DOWN = 0.9;
/** Calls that went out together are refused together; that is one refusal, and says no more than this. */
const MOST_DOWN = 0.5;

/** Up to where calls were refused last, the limit grows by one per round of calls; past that point, which will be tried again, so many times slower. */
const CARE = 4;

/** A call under way. */
export interface Begun {
  /** Cuts, and times that the limit was reached, before it. */
  readonly cuts: number;
  readonly fills: number;
}

export interface Concurrency {
  inFlight(): number;
  /** Calls under way at once, at least 1. */
  limit(): number;
  begin(): Begun;
  /** Replies let the limit grow where it is in use, a refusal cuts it; anything else leaves it. */
  end(begun: Begun, outcome: 'reply' | 'refused' | 'failed' | 'abandoned'): void;
}

/** Starts at `most`, and never goes above it; it is asked again and again. */
export function createConcurrency(most: () => number): Concurrency {
  let bound = Number.POSITIVE_INFINITY;
  let inFlight = 0;
  let fills = 0;
  let cuts = 0;
  /** The limit that was too high, as far as is known. */
  let refusedAt = Number.POSITIVE_INFINITY;
  /** The limit before the cuts since which it has not grown. */
  let before: number | undefined;

  const current = () => Math.max(1, Math.min(bound, most()));
  const limit = () => Math.floor(current());

  function grow(): void {
    before = undefined;
    const isTrying = limit() === Math.floor(refusedAt) - 1;
    bound = current() + 1 / current() / (isTrying ? CARE : 1);
    if (bound >= most()) bound = Number.POSITIVE_INFINITY;
  }

  function shrink(begun: Begun): void {
    // Refusals of calls that began before the limit was last cut belong to that cut.
    if (begun.cuts === cuts) {
      cuts += 1;
      refusedAt = current();
      before ??= current();
    }
    // What is still under way was taken, or will be refused in a moment. Where nothing is, all was refused: that was not for the
    // number of calls, and it is one refusal, however often it was tried.
    bound =
      inFlight === 0
        ? (before ?? current()) * DOWN
        : Math.min(
            current(),
            Math.max(refusedAt * MOST_DOWN, Math.min(refusedAt * DOWN, inFlight)),
          );
  }

  return {
    inFlight: () => inFlight,
    limit,
    begin() {
      const begun = { cuts, fills };
      inFlight += 1;
      if (inFlight >= limit()) fills += 1;
      return begun;
    },
    end(begun, outcome) {
      inFlight -= 1;
      // Of calls from before a cut nothing can be learned about the limit after it.
      if (outcome === 'reply' && fills > begun.fills && begun.cuts === cuts) grow();
      if (outcome === 'refused') shrink(begun);
    },
  };
}
