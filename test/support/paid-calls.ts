/** Paid calls, as journals and the spend ledger keep them. */

import type { JournalEntry } from '../../domain/ports.ts';
import { placeOf, type SpendLine } from '../../domain/spend.ts';
import { NO_USAGE } from '../../domain/trajectory.ts';

/** A request that has gone out, as a journal keeps it. */
export function toSent(step: number): JournalEntry {
  return { kind: 'sent', call: { scope: 's', step, try: 1 }, at: '2026-01-01T00:00:00.000Z' };
}

/** A paid reply as a journal keeps it: 100 tokens in, 10 out. */
export function toReply(step: number, costUsd: number | null = 0.5): JournalEntry {
  return {
    kind: 'reply',
    call: { scope: 's', step, try: 1 },
    reply: {
      message: { role: 'assistant', content: `turn ${step}` },
      finishReason: 'stop',
      usage: { ...NO_USAGE, inputTokens: 100, outputTokens: 10 },
      costUsd,
      model: 'm',
      endpoint: 'e',
      simulated: true,
      durationMs: 1,
    },
  };
}

/** A call of 100 tokens in, 10 out. */
export function toSpendLine(
  costUsd: number | null,
  scope = 'b/000000-aaaaaa/rollout-1.1',
  line: Partial<SpendLine> = {},
): SpendLine {
  return {
    ...placeOf({ scope }),
    call: { scope, step: 1, try: 1 },
    model: 'm',
    endpoint: 'e',
    usage: { ...NO_USAGE, inputTokens: 100, outputTokens: 10 },
    price: null,
    costUsd,
    durationMs: 1,
    at: '2026-01-01T00:00:00.000Z',
    ...line,
  };
}
