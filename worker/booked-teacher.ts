/** A teacher whose every reply is in the spend ledger before it is used. */

import type { Teacher } from '../domain/ports.ts';
import { placeOf, type SpendLine } from '../domain/spend.ts';
import type { SpendLedger } from '../domain/store.ts';

/** `onPaid` is told of each line once it is in the ledger. */
export function createBookedTeacher(
  teacher: Teacher,
  spend: SpendLedger,
  onPaid: (line: SpendLine) => void = () => {},
): Teacher {
  return {
    async complete(request, call, signal) {
      const place = placeOf(call);
      const reply = await teacher.complete(request, call, signal);
      const { endpoint, model, usage, price = null, costUsd, durationMs } = reply;
      const line: SpendLine = {
        ...place,
        call,
        endpoint,
        model,
        usage,
        price,
        costUsd,
        durationMs,
        at: new Date().toISOString(),
      };
      await spend.record(place.batch, line);
      onPaid(line);
      return reply;
    },
  };
}
