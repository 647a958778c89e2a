/** How long recall takes on large patches, same and reversed order of lines. */

import { recall } from '../domain/recall.ts';

const RUNS = 5;
/** Targets of design §14; the reference needs 25 s for 50,000 reversed lines. */
const TARGET_MS: Record<number, number> = { 50_000: 40, 1_000_000: 1000 };

/** One figure per size and order: median milliseconds of `exact` recall, patch reading included. */
export function benchRecall(): Promise<object[]> {
  const figures: object[] = [];
  for (const lines of [1000, 10_000, 50_000, 1_000_000]) {
    const content = Array.from({ length: lines }, (_, index) => `+    value_${index} = ${index}`);
    const target = toPatch(content);
    for (const order of ['same', 'reversed'] as const) {
      const produced = order === 'same' ? toPatch(content) : toPatch(content.toReversed());
      const ms = medianMs(() => recall(target, produced, 'exact'));
      const targetMs = TARGET_MS[lines];
      figures.push({ bench: 'recall', lines, order, ms, ...(targetMs && { targetMs }) });
    }
  }
  return Promise.resolve(figures);
}

/** A patch in one piece, as it comes from a file: a joined string is slower to read in V8 until it is copied. */
function toPatch(content: string[]): string {
  const header = `--- a/big.py\n+++ b/big.py\n@@ -0,0 +1,${content.length} @@\n`;
  return new TextDecoder().decode(new TextEncoder().encode(`${header}${content.join('\n')}\n`));
}

function medianMs(work: () => void): number {
  work();
  const times = Array.from({ length: RUNS }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  times.sort((a, b) => a - b);
  return Math.round(times[Math.floor(RUNS / 2)]! * 100) / 100;
}
