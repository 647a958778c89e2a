/** guestd as tests run it: with sanitizers, and on processors that are not this one's. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findProgram } from '../../scripts/command.mjs';
import { GUEST_FLAGS, GUEST_SOURCES, guestSources, isFresh } from '../../scripts/guestd.mjs';

const OUTPUT = fileURLToPath(new URL('../../out/test', import.meta.url));
const RELEASES = fileURLToPath(new URL('../../dist/guest', import.meta.url));

/**
 * The path of a guestd for this host that ends with a report and a code other than 0 at its first memory error, leak or
 * undefined behaviour; linked with glibc, since sanitizers don't go into a static musl binary. Built where a source is newer.
 */
export function sanitizedGuest(): string {
  const binary = join(OUTPUT, 'guestd-sanitized');
  if (isFresh(binary)) return binary;
  if (findProgram('gcc') === undefined)
    throw new Error('gcc is not here. On Debian or Ubuntu: apt-get install gcc libc6-dev');
  mkdirSync(OUTPUT, { recursive: true });
  const unfinished = `${binary}.${process.pid}`;
  const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  const debug = ['-g', '-O1', '-fno-omit-frame-pointer'];
  execFileSync(
    'gcc',
    [...GUEST_FLAGS, ...sanitize, ...debug, '-o', unfinished, ...guestSources()],
    { cwd: GUEST_SOURCES, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  renameSync(unfinished, binary);
  return binary;
}

/** The command that runs a released guestd here, under qemu where its processor is another; undefined where qemu is missing. */
export function guestCommand(architecture: 'x86_64' | 'aarch64'): string[] | undefined {
  const binary = join(RELEASES, `guestd-${architecture}`);
  if (process.arch === { x86_64: 'x64', aarch64: 'arm64' }[architecture]) return [binary];
  const qemu = findProgram(`qemu-${architecture}-static`) ?? findProgram(`qemu-${architecture}`);
  return qemu === undefined ? undefined : [qemu, binary];
}
