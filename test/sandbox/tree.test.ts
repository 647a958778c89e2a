/** What is made of the answers of a guest about its tree, when they can't be true. */

import { describe, expect, it } from 'vitest';

import { SandboxLost } from '../../domain/ports.ts';
import type { GuestClient } from '../../sandbox/guest-client.ts';
import { fetchEntries, listChanges, type TreeEntry } from '../../sandbox/tree.ts';
import { createBodyReader, type Field, toFrame } from '../../sandbox/wire.ts';

const PATIENCE = {
  leftMs: () => 1000,
  onTimeout: () => new Error('late'),
  onTooMuch: () => new Error('too much'),
};
const ENTRY: TreeEntry = { path: 'dir/one', kind: 'file', changed: true, size: 3 };

/** A guest whose every answer has this body. */
function answering(body: Buffer): GuestClient {
  return {
    container: 'a-container',
    ask: async (_type, _fields, read) => read(createBodyReader(body)),
    close: () => {},
  };
}

const letter = (text: string) => Buffer.from(text);
const fields = (...parts: (Field | Buffer)[]) =>
  Buffer.concat(
    parts.map((part) => (Buffer.isBuffer(part) ? part : toFrame(0, 0, [part]).subarray(9))),
  );
const listed = (kind: string, path: string) =>
  fields(letter(kind), Buffer.from([1]), { u64: 1 }, { text: path });

describe('an entry that was listed', () => {
  it.each(['-', 'l', 'd'])(
    'T45: and can not be fetched as what it was (%s) is no change less: the sandbox is lost',
    async (kind) => {
      const guest = answering(fields(letter(kind), Buffer.from([0]), { text: '' }));
      const fetching = fetchEntries(guest, [ENTRY], 100, PATIENCE);
      await expect(fetching).rejects.toThrow(SandboxLost);
      await expect(fetching).rejects.toThrow('"dir/one" was listed as a file');
    },
  );

  it('comes with its contents', async () => {
    const guest = answering(fields(letter('f'), Buffer.from([1]), { text: 'abc' }));
    expect(await fetchEntries(guest, [ENTRY], 100, PATIENCE)).toEqual([
      { path: 'dir/one', kind: 'file', executable: true, content: Buffer.from('abc') },
    ]);
  });
});

describe('T27: a listed path', () => {
  it.each(['/etc/passwd', '../up', 'a/../../up', './a', 'a//b', 'a/', '', '.git/config', 'a/.git'])(
    'that is not one of names in the repository is refused: %j',
    async (path) => {
      await expect(listChanges(answering(listed('f', path)), PATIENCE)).rejects.toThrow(RangeError);
    },
  );

  it('may hold any other byte', async () => {
    const changes = await listChanges(
      answering(fields(listed('D', ''), listed('f', '..a/\n "\x1b[2J'))),
      PATIENCE,
    );
    expect(changes.entries.map(({ path }) => path)).toEqual(['..a/\n "\x1b[2J']);
  });
});
