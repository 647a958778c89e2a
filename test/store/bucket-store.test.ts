import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { openStore } from '../../store/open.ts';
import { describeOwnership } from '../contracts/ownership-contract.ts';
import { describeStore } from '../contracts/store-contract.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
});
afterAll(() => server.close());

async function create() {
  const location = server.freshLocation();
  const cacheFolder = await mkdtemp(join(tmpdir(), 'twinpatch-spool-'));
  // Other processes of this host have the same cache.
  process.env['XDG_CACHE_HOME'] = cacheFolder;
  return {
    location,
    open: () => openStore(location),
    remove: () => rm(cacheFolder, { recursive: true, force: true }),
  };
}

describeStore('a bucket', create);
describeOwnership('a bucket', create);
