/** A real S3 server over a folder, for one test file: on a free port, its credentials in this process' environment. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { s3ServerPath } from '../../scripts/s3-server.mjs';
import { freePort } from './free-port.ts';

/** Asked for now: tests move the cache. */
const PROGRAM = s3ServerPath();
const BUCKET = 'twinpatch-tests';
const KEYS = { AWS_ACCESS_KEY_ID: 'tests', AWS_SECRET_ACCESS_KEY: 'of the store' };

export interface S3Server {
  /** A place in its bucket that nobody has used yet. */
  freshLocation(): string;
  /** What processes of the store need to know. */
  environment: Record<string, string>;
  /** As if it had lost its network, until `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function startS3Server(): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-s3-'));
  await mkdir(join(folder, BUCKET));
  const port = await freePort();
  const environment = {
    ...KEYS,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
    AWS_REGION: 'us-east-1',
  };
  Object.assign(process.env, environment);
  let locations = 0;
  let stop = async () => {};

  async function start(): Promise<void> {
    const child = spawn(
      PROGRAM,
      ['--quiet', '--keep-alive', '--port', `127.0.0.1:${port}`, 'posix', folder],
      {
        stdio: 'ignore',
        env: {
          ...process.env,
          ROOT_ACCESS_KEY_ID: KEYS.AWS_ACCESS_KEY_ID,
          ROOT_SECRET_ACCESS_KEY: KEYS.AWS_SECRET_ACCESS_KEY,
        },
      },
    );
    const closed = once(child, 'close');
    stop = async () => {
      child.kill('SIGKILL');
      await closed;
    };
    while (!(await fetch(environment.AWS_ENDPOINT_URL_S3).then(Boolean, () => false))) {
      if (child.exitCode !== null) throw new Error('the S3 server ended by itself');
      await sleep(20);
    }
  }

  await start();
  return {
    freshLocation: () => `s3://${BUCKET}/store-${++locations}`,
    environment,
    start,
    stop: () => stop(),
    async close() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
