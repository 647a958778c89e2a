import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { installRuntime } from '../../../worker/metrics.ts';
import { toSpendLine } from '../../support/paid-calls.ts';

test('a worker whose port for metrics is taken says so, and works without them', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const told: string[] = [];
  const metrics = installRuntime({ shutdownSignals: [] }, port, (why) => told.push(why));
  other.close();
  expect(told).toEqual([
    expect.stringMatching(
      new RegExp(
        `^no metrics at port ${port}: .*in use.*; TWINPATCH_METRICS_PORT names another one$`,
      ),
    ),
  ]);
  expect(() => metrics.paid(toSpendLine(0.5))).not.toThrow();
});
