/** Changes that a sandbox closes to itself, or that a model closes by mistake: a patch holds them all the same. */

import { describe, expect, it } from 'vitest';

import type { PreparedSandbox } from '../../domain/ports.ts';
import { CAPS, CHANGE, SEEN } from '../support/patch-suite.ts';
import { after } from '../support/sandbox-suite.ts';

const ONE = /^-1\n\+changed$/m;
const NEW = /^\+new$/m;

/** `start` gives a sandbox of an image with the tree of the patch suite. */
export function describeClosedChanges(name: string, start: () => Promise<PreparedSandbox>): void {
  describe(name, () => {
    it.each<[string, string, RegExp[]]>([
      ...['000', '200', '300', '400', '444', '600', '644'].map(
        (mode): [string, string, RegExp[]] => [
          `in a folder of mode ${mode}`,
          `echo changed >dir/one; echo new >dir/new; rm dir/two; chmod ${mode} dir`,
          [ONE, NEW, /^diff .* b\/dir\/two\ndeleted file/m],
        ],
      ),
      [
        'in a new folder, and in folders below one another',
        'mkdir -p new/in/in; echo new >new/in/in/f; chmod 000 new/in/in new/in new',
        [NEW],
      ],
      ['in all folders by mistake', 'echo changed >dir/one; chmod -R 644 dir || :', [ONE]],
      [
        'at the top, with every file closed too',
        `${CHANGE}; echo changed >dir/one; find . -depth -exec chmod 000 {} + || :`,
        [ONE, new RegExp(SEEN.replaceAll('+', '\\+'))],
      ],
      ['as a link', 'echo changed >dir/one; ln -s new dir/link; chmod 000 dir', [ONE, NEW]],
    ])('%s', async (_where, command, seen) => {
      await after(start, command, async (sandbox) => {
        const patch = await sandbox.extractPatch(CAPS);
        if (patch.kind !== 'patch') throw new Error(patch.kind);
        for (const each of seen) expect(patch.text).toMatch(each);
        expect(await sandbox.extractPatch(CAPS)).toEqual(patch);
      });
    });
  });
}
