/** A teacher whose every reply is in the spend ledger before it is used. */

import type { Teacher } from '../domain/ports.ts';
import { placeOf } from '../domain/spend.ts';
import type { SpendLedger } from '../domain/store.ts';

export function createBookedTeacher(teacher: Teacher, spend: SpendLedger): Teacher {
  return {
    async complete(request, call, signal) {
      const place = placeOf(call);
      const reply = await teacher.complete(request, call, signal);
      const { endpoint, model, usage, price = null, costUsd, durationMs } = reply;
      await spend.record(place.batch, {
        ...place,
        call,
        endpoint,
        model,
        usage,
        price,
        costUsd,
        durationMs,
        at: new Date().toISOString(),
      });
      return reply;
    },
  };
}
