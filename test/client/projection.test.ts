import { describe, expect, it } from 'vitest';
import { project } from '../../client/projection.ts';
import { renderPulse } from '../../client/render-progress.ts';

const counts = {
  planned: 100,
  verified: 0,
  accepted: 0,
  unverifiable: 0,
  held: 0,
  infrastructure: 0,
  unfinished: 100,
  verdicts: {},
  live: 0,
};

describe('what a batch will have taken', () => {
  it('is not known before a sample has ended', () => {
    expect(project({ ...counts, live: 8 }, { costUsd: 2, hours: 1 })).toEqual({
      costUsd: null,
      hoursLeft: null,
      perAcceptedUsd: null,
    });
  });

  it('is by samples, of which those under way are half done', () => {
    const some = { ...counts, verified: 16, accepted: 8, unfinished: 84, live: 8 };
    expect(project(some, { costUsd: 4, hours: 2 })).toEqual({
      costUsd: 20,
      hoursLeft: 8,
      perAcceptedUsd: 0.5,
    });
  });

  it('has no cost without prices', () => {
    const some = { ...counts, verified: 50, accepted: 20, unfinished: 50 };
    expect(project(some, { costUsd: null, hours: 2 })).toEqual({
      costUsd: null,
      hoursLeft: 2,
      perAcceptedUsd: null,
    });
  });

  it('is what it has taken once all have ended', () => {
    const all = { ...counts, verified: 100, accepted: 50, unfinished: 0 };
    expect(project(all, { costUsd: 5, hours: 2 })).toEqual({
      costUsd: 5,
      hoursLeft: 0,
      perAcceptedUsd: 0.1,
    });
  });
});

it('an endpoint is shown with its calls under way and its tokens per second', () => {
  const pulse = {
    endpoint: 'host:8000',
    model: 'glm',
    callsUnderWay: 12,
    inputTokensPerSecond: 3141.5,
    outputTokensPerSecond: 339.6,
  };
  expect(renderPulse(pulse)).toBe(
    'host:8000 (glm): 12 calls under way, tokens/s 3.1k in / 340 out',
  );
});
