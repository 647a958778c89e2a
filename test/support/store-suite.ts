/** A store of a contract's tests: fresh for each of them, with other processes of it that can be killed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach } from 'vitest';
import type { Store } from '../../domain/store.ts';

export interface StoreUnderTest {
  /** What another process opens the same store by. */
  location: string;
  /** Another client of the same store. */
  open(): Promise<Store>;
  remove(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('store-process.ts', import.meta.url));

/** Hands each test of the surrounding suite its store, and removes all of it afterwards. */
export function openStoreSuite(
  create: () => Promise<StoreUnderTest>,
  onOpen: (store: Store) => void,
) {
  let at: StoreUnderTest;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    at = await create();
    onOpen(await at.open());
  });
  afterEach(async () => {
    await Promise.all(children.splice(0).map(kill));
    await at.remove();
  });

  /** Starts another process of the store; returns the lines it prints, parsed. */
  function start(action: string, ...rest: (string | number)[]) {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', SCRIPT, at.location, action, ...rest.map(String)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(child);
    const lines = createInterface({ input: child.stdout });
    const first = once(lines, 'line').then(([line]) => JSON.parse(String(line)) as unknown);
    return { lines, first, kill: () => kill(child) };
  }

  return {
    /** Another client of the same store. */
    open: () => at.open(),
    start,
    /** Runs an action in a process that dies by kill -9 right after it. */
    async doAndDie(action: string, ...rest: (string | number)[]) {
      const other = start(action, ...rest);
      const result = await other.first;
      await other.kill();
      return result;
    },
  };
}

// --- internal ---

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}
