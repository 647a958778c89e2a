/** A folder with a `twinpatch.yaml` that a test writes, and what loading it says. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { CliError } from '../../client/errors.ts';
import { loadConfig } from '../../client/load-config.ts';

/** The least that is a configuration. */
export const GOOD = 'name: a\nteacher: { scripted: {} }\n';

/** Made for the tests of one file, and removed after them. */
export async function openConfigFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-config-'));
  afterAll(() => rm(folder, { recursive: true }));

  async function load(text: string | Uint8Array, ...sets: string[]) {
    await writeFile(join(folder, 'twinpatch.yaml'), text);
    return loadConfig({ sets, cwd: folder });
  }

  /** The problems it is refused with, one a line. */
  async function problemsOf(text: string | Uint8Array, ...sets: string[]): Promise<string> {
    const error = await load(text, ...sets).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof CliError)) throw new Error('it was not refused', { cause: error });
    expect(error.exitCode).toBe(3);
    expect(error.next).toBeDefined();
    const [head = '', ...lines] = error.message.split('\n');
    return lines.length === 0 ? head : lines.map((line) => line.trim()).join('\n');
  }

  return { folder, load, problemsOf };
}
