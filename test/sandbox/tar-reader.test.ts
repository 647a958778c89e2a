import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import tar from 'tar-stream';
import { describe, expect, it } from 'vitest';

import { readTar, TarRefused } from '../../sandbox/tar-reader.ts';

type Header = Parameters<ReturnType<typeof tar.pack>['entry']>[0];

async function toArchive(...headers: Header[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const header of headers) pack.entry(header, header.type === undefined ? 'content' : '');
  pack.finalize();
  return buffer(pack);
}

async function read(archive: Buffer, chunkBytes = archive.length): Promise<[string, string][]> {
  const chunks = Array.from({ length: Math.ceil(archive.length / chunkBytes) }, (_, index) =>
    archive.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
  const found: [string, string][] = [];
  for await (const { entry, content } of readTar(Readable.from(chunks), () => true))
    found.push([`${entry.type} ${entry.name}`, content?.toString() ?? '']);
  return found;
}

/** The first header with some bytes changed, and the sum that belongs to it. */
function patched(archive: Buffer, at: number, bytes: string): Buffer {
  const changed = Buffer.from(archive);
  changed.write(bytes, at, 'latin1');
  changed.fill(' ', 148, 156);
  const sum = changed.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return changed;
}

describe('T27: an archive of the engine', () => {
  const NAME = 'folder/file';

  it('is read the same however it is cut', async () => {
    const archive = await toArchive(
      { name: 'folder', type: 'directory' },
      { name: NAME },
      { name: 'link', type: 'symlink', linkname: '/etc/passwd' },
      { name: `${'long/'.repeat(40)}name` },
      { name: 'ünï' },
    );
    const whole = await read(archive);
    expect(whole.map(([name]) => name)).toEqual([
      'directory folder',
      `file ${NAME}`,
      'symlink link',
      `file ${'long/'.repeat(40)}name`,
      `file ${Buffer.from('ünï').toString('latin1')}`,
    ]);
    for (const size of [1, 7, 511, 513]) expect(await read(archive, size)).toEqual(whole);
  });

  it.each([
    ['a name that leads up', () => toArchive({ name: '../x' })],
    ['a name that leads up in its middle', () => toArchive({ name: 'a/../../x' })],
    ['a name that ends in ..', () => toArchive({ name: 'a/..' })],
    ['an absolute name', async () => patched(await toArchive({ name: 'xx' }), 0, '/x')],
    ['the same name twice', () => toArchive({ name: 'x' }, { name: 'x' })],
    [
      'a file through a link of that name',
      () => toArchive({ name: 'x', type: 'symlink', linkname: '/etc' }, { name: 'x' }),
    ],
    [
      'an extended header with a name that leads up',
      () => toArchive({ name: 'x', pax: { path: '../x' } }),
    ],
    [
      'an extended header with an absolute name',
      () => toArchive({ name: 'x', pax: { path: '/x' } }),
    ],
    [
      'an extended header with a size that is no number',
      () => toArchive({ name: 'x', pax: { size: 'much' } }),
    ],
    [
      'an extended header with a negative size',
      () => toArchive({ name: 'x', pax: { size: '-1' } }),
    ],
    [
      'an extended header without an end',
      () => toArchive({ name: 'x', pax: { comment: 'y'.repeat(70_000) } }),
    ],
    [
      'a sum that does not hold',
      async () => Buffer.from(await toArchive({ name: 'x' })).fill('y', 0, 1),
    ],
    ['an end in the middle', async () => (await toArchive({ name: 'x' })).subarray(0, 515)],
  ])('with %s is refused', async (_what, make) => {
    await expect(read(await make())).rejects.toThrow(TarRefused);
  });
});
