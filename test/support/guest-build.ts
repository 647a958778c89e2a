/** guestd as tests run it: with sanitizers, and on processors that are not this one's. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { findProgram } from '../../scripts/command.mjs';
import { toArchive } from '../../sandbox/archive.ts';
import { GUEST_FLAGS, GUEST_SOURCES, guestSources } from '../../scripts/guestd.mjs';

const OUTPUT = fileURLToPath(new URL('../../out/test', import.meta.url));
const RELEASES = fileURLToPath(new URL('../../dist/guest', import.meta.url));
const TEST_SOURCES = fileURLToPath(new URL('../sandbox/guest', import.meta.url));
const SANITIZE =
  '-fsanitize=address,undefined -fno-sanitize-recover=all -static-libasan -static-libubsan -g -O1 -fno-omit-frame-pointer';

/**
 * What a guest volume holds for a guestd that ends at its first memory error or undefined behaviour and leaves a report: linked
 * with glibc, since sanitizers don't go into a static musl binary, which comes along for images with another one or none.
 */
export function sanitizedGuest(): Readable {
  const loader = /\S*ld-linux\S*/.exec(
    execFileSync('ldd', [process.execPath], { encoding: 'utf8' }),
  );
  if (loader === null) throw new Error(`${process.execPath} is not linked with glibc`);
  const interpreter = `/.twinpatch/${basename(loader[0])}`;
  const sources = [...guestSources(), join(TEST_SOURCES, 'sanitizer.c')];
  const guest = compile('guestd', sources, [
    `-Wl,--dynamic-linker=${interpreter},-rpath=/.twinpatch`,
  ]);
  const files = { guestd: guest, [basename(loader[0])]: loader[0], ...librariesOf(guest) };
  return toArchive(
    Object.entries(files).map(([name, path]) => ({
      name,
      mode: 0o755,
      content: readFileSync(path),
    })),
  );
}

/** The path of a program for this host that drives what guestd reads with what is nearly right; see fuzz.c. */
export function guestFuzz(): string {
  const own = new Set([
    'command.c',
    'serve.c',
    'main.c',
    'shell.c',
    'job.c',
    'process.c',
    'limits.c',
    'seccomp.c',
  ]);
  const outside = ['open', 'openat', 'lstat', 'mkdirat', 'fstatat', 'write', 'fork'];
  const wrap = outside.map((name) => `--wrap=${name}`).join(',');
  const sources = ['fuzz.c', 'sanitizer.c'].map((name) => join(TEST_SOURCES, name));
  const real = guestSources().filter((name) => !own.has(name));
  return compile('fuzz', [...sources, ...real], [`-I${GUEST_SOURCES}`, `-Wl,${wrap}`]);
}

/** The command that runs a released guestd here, under qemu where its processor is another; undefined where qemu is missing. */
export function guestCommand(architecture: 'x86_64' | 'aarch64'): string[] | undefined {
  const binary = join(RELEASES, `guestd-${architecture}`);
  if (process.arch === { x86_64: 'x64', aarch64: 'arm64' }[architecture]) return [binary];
  const qemu = findProgram(`qemu-${architecture}-static`) ?? findProgram(`qemu-${architecture}`);
  return qemu === undefined ? undefined : [qemu, binary];
}

// --- internal ---

/** Compiles in the folder of guestd's sources, in a second or two. */
function compile(name: string, sources: string[], flags: string[]): string {
  if (findProgram('gcc') === undefined)
    throw new Error('gcc is not here. On Debian or Ubuntu: apt-get install gcc libc6-dev');
  mkdirSync(OUTPUT, { recursive: true });
  const binary = join(OUTPUT, `${name}-sanitized`);
  const unfinished = `${binary}.${process.pid}`;
  execFileSync(
    'gcc',
    [...GUEST_FLAGS, ...SANITIZE.split(' '), ...flags, '-o', unfinished, ...sources],
    { cwd: GUEST_SOURCES, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  renameSync(unfinished, binary);
  return binary;
}

/** Shared libraries by their names. */
function librariesOf(binary: string): Record<string, string> {
  const listed = execFileSync('ldd', [binary], { encoding: 'utf8' });
  const found = [...listed.matchAll(/(\S+) => (\/\S+)/g)];
  return Object.fromEntries(found.map(([, name = '', path = '']) => [name, path]));
}
