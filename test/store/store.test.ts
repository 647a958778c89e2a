import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../store/open.ts';
import { describeOwnership } from '../contracts/ownership-contract.ts';
import { describeStore } from '../contracts/store-contract.ts';

async function create() {
  const location = await mkdtemp(join(tmpdir(), 'twinpatch-store-'));
  return {
    location,
    open: () => openStore(location),
    remove: () => rm(location, { recursive: true, force: true }),
  };
}

describeStore('a folder', create);
describeOwnership('a folder', create);
