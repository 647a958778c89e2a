/**
 * A worker that can be killed: `owner-process.ts INSTALLATION LEASE_MS` connects to the engine, says `ready`, then for each line
 * `{rollout, epoch, id, command}` on stdin finds the rollout's sandbox as its owner, runs the command, and prints the result or
 * the name and message of the error as a line of JSON.
 */

import { createInterface } from 'node:readline';

import type { Sandbox } from '../../domain/ports.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { LIMITS } from './sandbox-fixture.ts';

export interface OwnerOrder {
  rollout: string;
  epoch: number;
  id: string;
  command: string;
}

const say = (answer: unknown) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const sandboxes = createSandboxes({
  engine: await connectEngine(),
  installation: process.argv[2] ?? '',
  leaseMs: Number(process.argv[3]),
});
const owned = new Map<string, Sandbox>();
say('ready');

for await (const line of createInterface({ input: process.stdin })) {
  const { rollout, epoch, id, command } = JSON.parse(line) as OwnerOrder;
  try {
    const key = `${rollout} ${epoch}`;
    const sandbox = owned.get(key) ?? (await sandboxes.find(rollout, epoch, LIMITS));
    if (sandbox === undefined) throw new Error(`there is no sandbox of ${rollout}`);
    owned.set(key, sandbox);
    say(
      await sandbox.run({
        id,
        command,
        shell: INITIAL_SHELL,
        timeoutMs: 30_000,
        maxOutputBytes: 10_000,
      }),
    );
  } catch (error) {
    say({ error: (error as Error).name, message: (error as Error).message });
  }
}
