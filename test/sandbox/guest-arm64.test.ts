/** guestd for engines on arm64, run here by qemu. */

import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

import { guestCommand } from '../support/guest-build.ts';

const command = guestCommand('aarch64');
if (command === undefined)
  console.warn('skipped: guestd on arm64, as qemu is not here: apt-get install qemu-user-static');

describe.skipIf(command === undefined)('guestd for arm64', () => {
  it('tells its version', () => {
    const [program = '', ...args] = command ?? [];
    expect(execFileSync(program, [...args, 'version'], { encoding: 'utf8' })).toBe('guestd 1\n');
  });
});
