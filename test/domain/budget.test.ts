import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Amount,
  amountOf,
  type Caps,
  capsOf,
  type Claim,
  claimOf,
  describeReached,
  firstWish,
  isCovered,
  reachedCap,
} from '../../domain/budget.ts';
import { NOTHING_SPENT } from '../../domain/spend.ts';

const NONE: Caps = { costUsd: Infinity, tokens: Infinity, hours: Infinity };
const HOUR_MS = 3_600_000;
const total = {
  ...NOTHING_SPENT,
  calls: 3,
  usage: { inputTokens: 900, cachedInputTokens: 500, outputTokens: 100, reasoningTokens: 50 },
  costUsd: 2.5,
  unpricedCalls: 1,
  estimatedUsd: 0.5,
  worked: [[0, HOUR_MS] as [number, number]],
};

describe('the caps of a batch', () => {
  it('are those tuned, else those it was started with, else none', () => {
    expect(
      capsOf({ maxCostUsd: 5, maxHours: 8 }, { maxCostUsd: 10, maxTokens: null, maxHours: null }),
    ).toEqual({ costUsd: 10, tokens: Infinity, hours: 8 });
  });

  it.each([
    [{ costUsd: 3 }, 'costUsd', 'has cost $3.00, its cap is $3'],
    [{ tokens: 1000 }, 'tokens', 'has used 1000 tokens, its cap is 1000'],
    [{ hours: 1 }, 'hours', 'has worked 1.00 hours, its cap is 1'],
  ] as const)('%j is reached, and says so', (cap, name, text) => {
    const caps = { ...NONE, ...cap };
    expect(reachedCap(caps, total, 2 * HOUR_MS)).toBe(name);
    expect(describeReached(name, caps, total, 2 * HOUR_MS)).toBe(text);
  });

  it('are not reached below them; estimates count', () => {
    expect(reachedCap(NONE, total, HOUR_MS)).toBeUndefined();
    const caps = { costUsd: 3.01, tokens: 1001, hours: 1.01 };
    expect(reachedCap(caps, total, 2 * HOUR_MS)).toBeUndefined();
  });
});

describe('a claim', () => {
  const caps: Caps = { ...NONE, costUsd: 100 };
  const of = (claims: [string, Claim][], spent: [string, Amount][] = [], wishUsd = 10) =>
    claimOf({
      caps,
      worker: 'me',
      wish: { costUsd: wishUsd, tokens: 5 },
      spent: new Map(spent),
      claims: new Map(claims),
      nowMs: 1000,
    });
  const upTo = (costUsd: number, untilMs = 2000): Claim => ({
    upTo: { costUsd, tokens: 0 },
    untilMs,
  });
  const usd = (costUsd: number): Amount => ({ costUsd, tokens: 0 });

  it('is what is wished, beyond what was spent', () => {
    expect(of([], [['me', usd(20)]])?.upTo).toEqual({ costUsd: 30, tokens: 5 });
  });

  it('leaves others half of what is left', () => {
    expect(of([['other', upTo(90)]])?.upTo.costUsd).toBe(5);
  });

  it('takes the last bit whole', () => {
    expect(of([['other', upTo(99.9)]])?.upTo.costUsd).toBeCloseTo(0.1);
  });

  it('is none while others have claimed all that is left', () => {
    expect(of([['other', upTo(100)]])).toBeUndefined();
  });

  it('gets back what a worker claimed that is heard of no more, but not what it spent', () => {
    expect(of([['other', upTo(100, 900)]], [['other', usd(40)]], 1000)?.upTo.costUsd).toBe(30);
  });

  it('counts what a worker spent beyond its claim', () => {
    expect(of([['other', upTo(50)]], [['other', usd(100)]])).toBeUndefined();
  });
});

/** Workers in random turns, each of which sends calls while its claim covers them; replies come, and are paid, later. */
it('several workers together pass a cap by less than the calls under way', () => {
  const caps: Caps = { costUsd: 1, tokens: 1_000_000, hours: Infinity };
  const turns = fc.array(
    fc.record({
      worker: fc.constantFrom('a', 'b', 'c'),
      act: fc.constantFrom('send', 'send', 'reply'),
      costUsd: fc.double({ min: 0.001, max: 0.05, noNaN: true }),
    }),
    { minLength: 200, maxLength: 400 },
  );
  fc.assert(
    fc.property(turns, (turns) => {
      const spent = new Map<string, Amount>();
      const claims = new Map<string, Claim>();
      const underWay: { worker: string; costUsd: number }[] = [];
      const spentUsd = () => [...spent.values()].reduce((sum, { costUsd }) => sum + costUsd, 0);
      const highestUsd = new Map<string, number>();
      let nowMs = 0;
      for (const { worker, act, costUsd } of turns) {
        nowMs += 100;
        const own = spent.get(worker) ?? { costUsd: 0, tokens: 0 };
        if (act === 'reply') {
          const index = underWay.findIndex((call) => call.worker === worker);
          const [call] = index < 0 ? [] : underWay.splice(index, 1);
          if (call !== undefined) {
            spent.set(worker, { costUsd: own.costUsd + call.costUsd, tokens: own.tokens + 10 });
          }
          continue;
        }
        let claim = claims.get(worker);
        if (claim === undefined || !isCovered(caps, own, claim.upTo)) {
          claim = claimOf({ caps, worker, wish: firstWish(caps), spent, claims, nowMs });
          if (claim === undefined) continue;
          claims.set(worker, claim);
        }
        underWay.push({ worker, costUsd });
        const usd = underWay.reduce(
          (sum, call) => sum + (call.worker === worker ? call.costUsd : 0),
          0,
        );
        highestUsd.set(worker, Math.max(highestUsd.get(worker) ?? 0, usd));
      }
      for (const { worker, costUsd } of underWay) {
        const own = spent.get(worker) ?? { costUsd: 0, tokens: 0 };
        spent.set(worker, { ...own, costUsd: own.costUsd + costUsd });
      }
      const mostUsd = [...highestUsd.values()].reduce((sum, usd) => sum + usd, 0);
      expect(spentUsd()).toBeLessThanOrEqual(caps.costUsd + mostUsd);
    }),
    { numRuns: 100 },
  );
});

it('what counts for a cap is cost and estimates, input and output', () => {
  expect(amountOf(total)).toEqual({ costUsd: 3, tokens: 1000 });
});
