/** What tests of patches share: a repository with a bit of everything, and the patch of a command that was run in it. */

import type { PreparedSandbox } from '../../domain/ports.ts';

import type { ExtractCaps, ExtractedPatch } from '../../domain/ports.ts';
import { after as afterIn, openSuite } from './sandbox-suite.ts';

/** What the image has at /testbed. */
export const TREE = {
  'a.py': 'one = 1\ntwo = 2\n',
  'b.txt': 'b\n',
  'crlf.txt': 'a\r\nb\r\n',
  'no-eol.txt': 'no newline',
  'dir/one': '1\n',
  'dir/two': '2\n',
  file: 'a file\n',
  link: { link: 'a.py' },
  'link-dir': { link: 'dir' },
  'run.sh': { content: '#!/bin/sh\n', mode: 0o755 },
  'latin1.txt': Buffer.from([0xe9, 0x0a, 0x62, 0x0a]),
  '.gitignore': '*.log\nbuild/\n',
  'tracked.log': 'ignored by name, but in the snapshot\n',
  '.gitattributes': '*.gen -diff\n*.txt text=auto eol=lf\n',
};
/** Caps that no change of these tests comes near unless it means to. */
export const CAPS: ExtractCaps = {
  maxBytes: 4 * 1024 ** 2,
  maxEntries: 200,
  maxDepth: 20,
  timeoutMs: 60_000,
};
/** A change, and how it is seen in a patch. */
export const CHANGE = `sed -i 's/one = 1/one = 100/' a.py`;
export const SEEN = '-one = 1\n+one = 100\n two = 2\n';

/** Opens a suite over the repository for the file that calls. */
export async function openPatchSuite(prefix: string) {
  const suite = await openSuite(prefix, TREE);

  const after = <T>(command: string, work: (sandbox: PreparedSandbox) => Promise<T>): Promise<T> =>
    afterIn(suite.start, command, work);

  const patchOf = (command: string, caps: Partial<ExtractCaps> = {}): Promise<ExtractedPatch> =>
    after(command, (sandbox) => sandbox.extractPatch({ ...CAPS, ...caps }));

  return {
    ...suite,
    after,
    patchOf,
    /** Its text, or the kind of what came instead. */
    async textOf(command: string): Promise<string> {
      const patch = await patchOf(command);
      return patch.kind === 'patch' ? patch.text : patch.kind;
    },
  };
}
