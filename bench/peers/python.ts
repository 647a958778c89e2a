/** Peers that are Python packages: kept in virtual environments of the user's cache folder. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

export const INSTALL_TIMEOUT_MS = 10 * 60_000;

/** The same of all peers that use it. */
export const LITELLM = 'litellm[mcp]==1.106.2';

/** Where a peer is kept. */
export function peerFolder(name: string): string {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(cache, 'twinpatch', 'bench', name);
}

/** Path of a Python that has the packages, installed when it is missing. Throws what pip said. */
export async function installPython(
  at: string,
  packages: string[],
  note: (line: string) => void,
  cancelSignal: AbortSignal,
): Promise<string> {
  const python = join(at, 'bin', 'python');
  await once(at, packages, async () => {
    note(`installing ${packages.join(' ')} into ${at}; this takes a minute or two`);
    const options = { timeout: INSTALL_TIMEOUT_MS, cancelSignal };
    await execa('python3', ['-m', 'venv', at], options);
    await execa(python, ['-m', 'pip', 'install', '--quiet', ...packages], options);
  });
  return python;
}

/** Fills a folder anew unless its marker says that just these packages were installed to the end. */
export async function once(
  at: string,
  packages: string[],
  fill: () => Promise<void>,
): Promise<void> {
  const marker = join(at, 'installed');
  const wanted = `${packages.join('\n')}\n`;
  if ((await readFile(marker, 'utf8').catch(() => '')) === wanted) return;
  await rm(at, { recursive: true, force: true });
  await mkdir(at, { recursive: true });
  await fill();
  await writeFile(marker, wanted);
}
