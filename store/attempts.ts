/** Activity attempts under way on this host: one small file each, gone when the attempt ends. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Attempt, Attempts } from '../domain/store.ts';
import { sha256 } from './blobs.ts';
import { listFolder, readIfThere, replaceFile } from './files.ts';
import { type Owner, ownerName, runsHere, thisProcess } from './owner.ts';

export function createAttempts(folder: string): Attempts {
  return {
    async enter(attempt) {
      const owner = thisProcess();
      const path = join(folder, `${ownerName(owner)}-${sha256(attempt.taskToken).slice(0, 16)}`);
      await replaceFile(path, JSON.stringify({ owner, attempt }));
      return () => rm(path, { force: true });
    },

    async orphans() {
      const orphans: { attempt: Attempt; strikeOff(): Promise<void> }[] = [];
      for await (const { path, owner, attempt } of read()) {
        // Another host's attempts are its own to judge; here a process either runs or does not.
        if (owner.host !== thisProcess().host || runsHere(owner)) continue;
        orphans.push({ attempt, strikeOff: () => rm(path, { force: true }) });
      }
      return orphans;
    },

    async live() {
      const live: Attempt[] = [];
      for await (const { owner, attempt } of read()) if (runsHere(owner)) live.push(attempt);
      return live;
    },
  };

  async function* read(): AsyncGenerator<{ path: string; owner: Owner; attempt: Attempt }> {
    for (const name of await listFolder(folder)) {
      const path = join(folder, name);
      const bytes = await readIfThere(path);
      // Gone since the listing: its attempt has ended.
      if (bytes !== undefined) yield { path, ...(JSON.parse(bytes.toString()) as Entry) };
    }
  }
}

// --- internal ---

interface Entry {
  owner: Owner;
  attempt: Attempt;
}
