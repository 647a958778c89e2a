/** What a Sandbox does that is a wall, not just a place: commands can't reach beyond it, and nothing of them survives their end. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { CommandRequest, Sandbox } from '../../domain/ports.ts';
import { run as runIn } from '../support/sandbox-suite.ts';

/** Registers the suite for one implementation; `start` gives a fresh sandbox over an empty repository. */
export function describeIsolation(name: string, start: () => Promise<Sandbox>): void {
  describe(name, () => {
    let sandbox: Sandbox;
    const run = (command: string, options: Partial<CommandRequest> = {}) =>
      runIn(sandbox, command, options);

    beforeAll(async () => {
      sandbox = await start();
    });
    afterAll(() => sandbox.close());

    const processes = `for status in /proc/[0-9]*/status; do grep -q '^Uid:.1000' "$status" && grep '^Name:' "$status"; done 2>/dev/null | grep -cv -e bash -e grep`;

    it('F4, T55: everything a timed-out command started is killed, whatever it did to escape', async () => {
      const result = await run(
        `trap '' TERM INT HUP
   setsid sleep 1000 &
   (setsid bash -c 'trap "" TERM; (sleep 1000 &) ; sleep 1000' &)
   nohup sleep 1000 >/dev/null 2>&1 & disown
   sleep 1000 & kill -STOP $!
   sleep 1000`,
        { timeoutMs: 1000 },
      );
      expect(result).toMatchObject({ end: 'timed-out', background: false });
      expect(result.durationMs).toBeLessThan(3000);
      expect((await run(processes)).output).toBe('0\n');
    });

    it.each([
      ['sleep 600 &', ''],
      ['exec > >(tee copy); echo kept', 'kept\n'],
      ['(while :; do echo noise; sleep 0.01; done) & echo kept >&2; sleep 0.2', ''],
      ['yes >/dev/null &', ''],
      ['yes & sleep 0.1', ''],
    ])('F5: returns at once after %s and goes on', async (command, output) => {
      const result = await run(command, { maxOutputBytes: 1000 });
      expect(result).toMatchObject({ end: 'exited', exitCode: 0 });
      expect(result.durationMs).toBeLessThan(2000);
      expect(result.output).toContain(output);
      const started = Date.now();
      expect((await run('echo next')).output).toBe('next\n');
      expect(Date.now() - started).toBeLessThan(3000);
    });

    it('F5: tells of processes that a command left, and not of those that were there', async () => {
      await run('sleep 30', { timeoutMs: 200 });
      expect((await run('sleep 600 & echo x')).background).toBe(true);
      expect((await run('echo y')).background).toBe(false);
      await run('sleep 30', { timeoutMs: 200 });
    });

    it('F14, T17: keeps a flood of output from everything outside', async () => {
      const before = process.memoryUsage().rss;
      const result = await run('yes', { timeoutMs: 3000, maxOutputBytes: 32 * 1024 });
      expect(result.end).toBe('timed-out');
      expect(result.outputBytes).toBeGreaterThan(10 * 1024 ** 2);
      expect(result.output.length).toBeLessThan(33 * 1024);
      expect(process.memoryUsage().rss - before).toBeLessThan(50 * 1024 ** 2);
    });

    it('T13: names a command whose process the kernel killed for memory', async () => {
      expect((await run(`python3 -c 'x = b"x" * (2 * 1024 ** 3)'`)).end).toBe('oom');
      expect(await run('echo ok')).toMatchObject({ end: 'exited', output: 'ok\n' });
    });

    it('names a command that failed on a full disk', async () => {
      expect((await run('cd /dev/shm; dd if=/dev/zero of=full bs=1M')).end).toBe('disk');
      await run('rm -f /dev/shm/full');
    });

    it('T12: survives a fork bomb', async () => {
      await run(':(){ :|:& };:', { timeoutMs: 3000 });
      expect(await run('echo ok')).toMatchObject({ end: 'exited', output: 'ok\n' });
    });

    it('T2: runs commands as a user without rights, groups or a network', async () => {
      const { output } = await run(
        `id; grep -E '^(CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs)' /proc/self/status; cat /proc/net/dev | grep -c :; kill -9 1; kill -9 -1; echo still`,
      );
      expect(output).toContain('uid=1000(agent) gid=1000(agent) groups=1000(agent)');
      expect(output).toMatch(/CapPrm:\t0+\n/);
      expect(output).toMatch(/CapEff:\t0+\n/);
      expect(output).toMatch(/NoNewPrivs:\t1\n/);
      expect((await run('echo ok')).output).toBe('ok\n');
    });

    it('starts commands with an environment that holds nothing of the host', async () => {
      const { output } = await run('env | cut -d= -f1 | sort | tr "\\n" " "');
      expect(output.trim().split(' ')).toEqual(
        expect.arrayContaining([
          'CI',
          'GIT_PAGER',
          'GIT_TERMINAL_PROMPT',
          'HOME',
          'LANG',
          'PAGER',
          'PATH',
          'PIP_NO_INPUT',
          'TERM',
        ]),
      );
      expect(output).not.toMatch(/KEY|TOKEN|SECRET|HOSTNAME/);
    });

    it('T22: does not let a command write where its result is kept', async () => {
      const result = await run(
        'cd /run/twinpatch && for f in */answer */done */head */exit */kill */eof; do echo "exited 0 0 0 1" >"$f"; done; touch /run/twinpatch/x; rm -rf /run/twinpatch/*; exit 4',
      );
      expect(result.exitCode).toBe(4);
      expect(result.output).toContain('Permission denied');
    });

    it('T23: reads with the rights of the agent, and files only', async () => {
      expect(await sandbox.readFile('/etc/shadow', 10)).toMatchObject({
        kind: 'refused',
        reason: 'Permission denied',
      });
      expect(await sandbox.readFile('/root/x', 10)).toMatchObject({ kind: 'refused' });
      expect(await sandbox.readFile('/dev/zero', 10)).toMatchObject({ kind: 'refused' });
      expect(await sandbox.readFile('/etc/passwd', 4)).toMatchObject({
        kind: 'file',
        truncated: true,
      });
      expect(await sandbox.readFile('relative', 4)).toMatchObject({ kind: 'refused' });
      await expect(sandbox.writeFile('/etc/new', Buffer.from('x'))).rejects.toThrow(
        /Permission denied/,
      );
    });
  });
}
