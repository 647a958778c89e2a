/**
 * A machine of its own for a product, as far as its processes can tell: its disk can be full, its network cut and its clock wrong,
 * and whatever runs there is gone with the process that made it. Needs root and libfaketime.
 */

import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createProduct, type Product } from './product.ts';
import { mountSmallDisk } from './small-disk.ts';

const NAMESPACES = ['--net', '--pid', '--fork', '--mount-proc', '--kill-child'];
const DISK = '512m';

export interface Machine {
  /** Lives there, on its disk. */
  product: Product;
  fillDisk(): Promise<void>;
  /** Undoes `fillDisk`. */
  freeDisk(): void;
  /** Loopback, which is all the network it has: what is sent gets lost. */
  cutNetwork(): Promise<void>;
  mendNetwork(): Promise<void>;
  /** By so much its clock is off from now on, in seconds; that of programs which don't ask the C library for the time stays right. */
  setClock(offset: number): void;
  /** Ends every process there, and removes all of it. */
  close(): Promise<void>;
}

/** `env` is what the product's commands have more in their environment. */
export async function startMachine(env: Record<string, string> = {}): Promise<Machine> {
  const folder = mkdtempSync(join(tmpdir(), 'twinpatch-machine-'));
  const home = join(folder, 'disk/product');
  mkdirSync(home, { recursive: true }); // where commands are started from, on this side of the mount
  const disk = await mountSmallDisk(join(folder, 'disk'), DISK, NAMESPACES);
  const clock = join(folder, 'clock');
  const onLoopback = (state: 'up' | 'down') =>
    promisify(execFile)('nsenter', [
      ...['--target', String(disk.pid), '--net'],
      ...['ip', 'link', 'set', 'lo', state],
    ]);

  const machine: Machine = {
    product: await createProduct({
      folder: home,
      seenFromHere: disk.seenFromHere,
      pidFromHere: (pid) => pidFromHere(disk.pid, pid),
      wrap: [...disk.wrap, 'env', '--chdir', home],
      env: { ...env, ...fakeTime(clock) },
    }),
    fillDisk: () => disk.fill(),
    freeDisk: () => disk.free(),
    async cutNetwork() {
      await onLoopback('down');
    },
    async mendNetwork() {
      await onLoopback('up');
    },
    setClock: (offset) => writeFileSync(clock, `${offset < 0 ? '' : '+'}${offset}\n`),
    async close() {
      await disk.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    machine.setClock(0);
    mkdirSync(machine.product.folder);
    await machine.mendNetwork();
    return machine;
  } catch (error) {
    await machine.close();
    throw error;
  }
}

// --- internal ---

/** Has libfaketime in every program, which reads the file anew each second. Files keep the times that the kernel gives them. */
function fakeTime(file: string): Record<string, string> {
  const library = readdirSync('/usr/lib')
    .map((name) => join('/usr/lib', name, 'faketime/libfaketimeMT.so.1'))
    .find((path) => existsSync(path));
  if (library === undefined) {
    throw new Error('no libfaketime: run `node scripts/setup.mjs test-tools` first');
  }
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  };
}

/** The process that has a pid in the namespace of another one, as this one counts. Throws where there is none. */
function pidFromHere(first: number, pid: number): number {
  const namespace = readlinkSync(`/proc/${first}/ns/pid`);
  const found = readdirSync('/proc').find((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      if (readlinkSync(`/proc/${name}/ns/pid`) !== namespace) return false;
      return new RegExp(`^NSpid:.*\\t${pid}$`, 'm').test(
        readFileSync(`/proc/${name}/status`, 'utf8'),
      );
    } catch {
      return false; // it has ended meanwhile
    }
  });
  if (found === undefined) throw new Error(`no process ${pid} runs on the machine`);
  return Number(found);
}
