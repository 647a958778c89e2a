/** A changed tree as the input of `git fast-import`: contents go in as they are, and no name, attribute or filter can act. */

export interface ChangedContent {
  /** Bytes as latin1. */
  path: string;
  mode: '100644' | '100755' | '120000';
  content: Buffer;
}

export const RESULT_REF = 'refs/twinpatch/result';

/** The commit on top of HEAD in which `deleted` are gone and `present` have their contents. */
export function toCommitStream(changes: { deleted: string[]; present: ChangedContent[] }): Buffer {
  const pieces: Buffer[] = [
    Buffer.from(
      `commit ${RESULT_REF}\ncommitter twinpatch <twinpatch@localhost> 946684800 +0000\ndata 6\nResult\nfrom HEAD^0\n`,
    ),
  ];
  for (const path of changes.deleted) pieces.push(Buffer.from(`D ${quotePath(path)}\n`, 'latin1'));
  for (const { path, mode, content } of changes.present) {
    pieces.push(
      Buffer.from(`M ${mode} inline ${quotePath(path)}\ndata ${content.length}\n`, 'latin1'),
      content,
      Buffer.from('\n'),
    );
  }
  pieces.push(Buffer.from('done\n'));
  return Buffer.concat(pieces);
}

// --- internal ---

/** As git quotes paths: everything but plain characters in octal. */
function quotePath(path: string): string {
  const escaped = path.replace(
    /[^A-Za-z0-9 _./+=,@%-]/g,
    (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return `"${escaped}"`;
}
