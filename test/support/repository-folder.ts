/** Small repositories on disk, without git. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const PYTHON_FILES = {
  'pyproject.toml': '[project]\nname = "kit"\n',
  'kit/text.py':
    'def wrap(text, width):\n    lines = []\n    for word in text.split():\n        lines.append(word)\n    return lines\n\n\ndef short(x):\n    return x\n',
  'kit/io/files.py':
    'class Reader:\n    def read(self, path):\n        with open(path) as file:\n            text = file.read()\n        return text\n',
  'tests/test_text.py':
    'def test_wrap():\n    a = 1\n    b = 2\n    c = 3\n    assert a + b == c\n',
};

/** A temporary folder with these files; `remove` deletes it. */
export async function createFolder(files: Record<string, string>) {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-folder-'));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  return { folder, remove: () => rm(folder, { recursive: true }) };
}
