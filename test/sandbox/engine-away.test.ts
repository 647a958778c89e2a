/** An engine that is lost or has no room: what sandboxes make of it. It is one of its own, since this host's belongs to all. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { EngineUnavailable, SandboxLost } from '../../domain/ports.ts';
import { startOwnEngine } from '../support/own-engine.ts';
import { openSuite, run } from '../support/sandbox-suite.ts';

const engine = await startOwnEngine();
afterAll(() => engine.close()); // first, so that it comes last
const { start } = await openSuite('away', undefined, { host: engine.host });

it('I4: with live-restore, a command outlives a killed engine and has one result', async () => {
  const sandbox = await start();
  const work = run(sandbox, 'echo began >>/tmp/runs; sleep 4; cat /tmp/runs');
  await sleep(500);
  await engine.kill();
  await engine.start({ liveRestore: true });
  expect(await work).toMatchObject({ end: 'exited', output: 'began\n' });
  await sandbox.close();
});

it('I5: without it, the sandbox is lost, and another one is to be had', async () => {
  const sandbox = await start();
  const work = run(sandbox, 'sleep 30');
  await sleep(500);
  const end = work.catch((error: unknown) => error);
  await engine.kill();
  await engine.start({ liveRestore: false });
  expect(await end).toBeInstanceOf(SandboxLost);
  await sandbox.close();
  const next = await start();
  expect(await run(next, 'echo works')).toMatchObject({ output: 'works\n' });
  await next.close();
});

it('F21: what fails for want of room on its disk is no result of a command', async () => {
  const sandbox = await start();
  await engine.fillDisk();
  try {
    await expect(run(sandbox, 'head -c 8M /dev/zero >b')).rejects.toThrow(SandboxLost);
    await expect(sandbox.writeFile('/testbed/b', Buffer.alloc(8 << 20))).rejects.toThrow(
      EngineUnavailable,
    );
    // However late it is asked for, and whether or not there is room by then.
    const late = run(sandbox, 'head -c 8M /dev/zero >b; code=$?; sleep 2; exit $code');
    await sleep(500);
    engine.freeDisk();
    await expect(late).rejects.toThrow(SandboxLost);
  } finally {
    engine.freeDisk();
  }
  expect(await run(sandbox, 'head -c 8M /dev/zero >b; wc -c <b')).toMatchObject({
    output: '8388608\n',
  });
  await sandbox.close();
});
