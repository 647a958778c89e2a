/** Servers of others, from PyPI, in virtual environments of the user's cache folder. */

import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

const START_MS = 180_000;

/** Runs it until the test ends; resolves once its address answers. Throws with what it said where it ends or never answers. */
export async function startServer(
  program: string,
  args: string[],
  { address, env }: { address: string; env?: Record<string, string> },
): Promise<void> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
  }
  onTestFinished(() => void child.kill('SIGKILL'));
  for (const endMs = Date.now() + START_MS; ;) {
    const isUp = await fetch(address).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return;
    if (child.exitCode !== null || Date.now() > endMs) {
      throw new Error(`${program} does not answer at ${address}: ${said}`);
    }
    await sleep(500);
  }
}
