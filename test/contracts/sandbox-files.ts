/** What every Sandbox does with files: bytes are kept as they are, names are nothing but names, and what is no file is told so. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { FileWriteRefused, type Sandbox } from '../../domain/ports.ts';
import { run as runIn } from '../support/sandbox-suite.ts';

/** Registers the suite for one implementation; `start` gives a fresh sandbox over an empty repository. */
export function describeFiles(name: string, start: () => Promise<Sandbox>): void {
  describe(name, () => {
    let sandbox: Sandbox;
    const run = (command: string) => runIn(sandbox, command);

    beforeAll(async () => {
      sandbox = await start();
    });
    afterAll(() => sandbox.close());

    const bytes = Buffer.from(
      Array.from({ length: 70_000 }, (_, index) => (index * 7 + (index >> 8)) & 255),
    );

    it.each([
      ['every byte', bytes],
      ['nothing', Buffer.alloc(0)],
      ['CRLF without a last newline', Buffer.from('a\r\nb')],
      ['two megabytes', Buffer.alloc(2 * 1024 ** 2, 'abc\n')],
    ])('writes and reads back %s', async (_what, content) => {
      await sandbox.writeFile('/testbed/new folder/round trip', content);
      const read = await sandbox.readFile('/testbed/new folder/round trip', 10 * 1024 ** 2);
      expect(read).toMatchObject({ kind: 'file', size: content.length, truncated: false });
      expect(read.kind === 'file' && Buffer.compare(Buffer.from(read.bytes), content)).toBe(0);
    });

    it.each([`it's "quoted"`, '-n', '$(touch hacked)', 'new\nline', 'ünï', '*', '~', ' space '])(
      'takes %j as a name and nothing else',
      async (name) => {
        await sandbox.writeFile(`/testbed/names/${name}`, Buffer.from(name));
        expect(await sandbox.readFile(`/testbed/names/${name}`, 100)).toMatchObject({
          kind: 'file',
          bytes: new Uint8Array(Buffer.from(name)),
        });
      },
    );

    it('cuts a read at the size asked for and tells the real one', async () => {
      await sandbox.writeFile('/testbed/long', Buffer.from('0123456789'));
      expect(await sandbox.readFile('/testbed/long', 4)).toEqual({
        kind: 'file',
        bytes: new Uint8Array(Buffer.from('0123')),
        size: 10,
        truncated: true,
      });
    });

    it('keeps the mode of a file it writes over', async () => {
      await run('echo old >script.sh; chmod 755 script.sh');
      await sandbox.writeFile('/testbed/script.sh', Buffer.from('new\n'));
      expect((await run('stat -c %a script.sh; cat script.sh')).output).toBe('755\nnew\n');
    });

    it('writes through a link and leaves the link', async () => {
      await run('echo old >target.txt; ln -sf target.txt link.txt');
      await sandbox.writeFile('/testbed/link.txt', Buffer.from('new\n'));
      expect((await run('readlink link.txt; cat target.txt')).output).toBe('target.txt\nnew\n');
    });

    it('says what is missing and what is a folder', async () => {
      await run('mkdir -p folder; ln -sf nowhere dangling');
      expect(await sandbox.readFile('/testbed/none', 10)).toEqual({ kind: 'missing' });
      expect(await sandbox.readFile('/testbed/none/below', 10)).toEqual({ kind: 'missing' });
      expect(await sandbox.readFile('/testbed/dangling', 10)).toEqual({ kind: 'missing' });
      expect(await sandbox.readFile('/testbed/folder', 10)).toEqual({ kind: 'directory' });
    });

    it('T26: refuses a pipe at once', async () => {
      await run('mkfifo pipe');
      expect(await sandbox.readFile('/testbed/pipe', 10)).toMatchObject({ kind: 'refused' });
    });

    it.each([
      ['a folder', '/testbed/folder', /Is a directory/],
      ['a path through a file', '/testbed/plain/below', /Not a directory|File exists/],
    ])('refuses to write to %s, with the reason', async (_what, path, reason) => {
      await run('mkdir -p folder; echo x >plain');
      await expect(sandbox.writeFile(path, Buffer.from('x'))).rejects.toThrow(FileWriteRefused);
      await expect(sandbox.writeFile(path, Buffer.from('x'))).rejects.toThrow(reason);
    });

    it('lists a folder to a depth, without what is hidden', async () => {
      await run(
        'rm -rf tree; mkdir -p tree/a/b/c tree/.hidden; echo 12345 >tree/a/f; ln -s f tree/a/l; echo x >tree/.secret; mkfifo tree/p; echo y >tree/a/b/g',
      );
      expect(await sandbox.list('/testbed/tree', 2)).toEqual([
        { path: 'a', kind: 'directory', size: expect.any(Number) },
        { path: 'a/b', kind: 'directory', size: expect.any(Number) },
        { path: 'a/f', kind: 'file', size: 6 },
        { path: 'a/l', kind: 'symlink', size: expect.any(Number) },
        { path: 'p', kind: 'other', size: 0 },
      ]);
      expect(await sandbox.list('/testbed/tree/a/f', 2)).toBeUndefined();
      expect(await sandbox.list('/testbed/tree/none', 2)).toBeUndefined();
    });
  });
}
