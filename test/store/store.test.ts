import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../store/open.ts';
import { describeStore } from '../contracts/store-contract.ts';

describeStore('a folder', async () => {
  const location = await mkdtemp(join(tmpdir(), 'twinpatch-store-'));
  return {
    location,
    open: () => openStore(location),
    remove: () => rm(location, { recursive: true, force: true }),
  };
});
