/** Objects of one S3-compatible bucket, below one prefix. Credentials, region and endpoint come by the SDK's standard chain. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GetObjectCommandInput, PutObjectCommandInput } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import { StoreUnavailable } from '../domain/store.ts';
import { parseBucketLocation } from '../domain/location.ts';

/** Of an address that gives no answer at all. */
const CONNECT_MS = 5_000;
const REQUEST_MS = 120_000;
const ATTEMPTS = 4;
const REMOVALS_AT_ONCE = 8;
/** Two conditional writes of one object at once: S3 asks the loser to try again. */
const CONFLICT_PAUSE_MS = 50;
const DEFAULT_REGION = 'us-east-1';

/** Keys are relative to the prefix. Throws StoreUnavailable. */
export interface Bucket {
  readonly location: string;
  /** Writes an object that must not exist yet; returns false when it does. */
  putOnce(key: string, content: string | Uint8Array): Promise<boolean>;
  /** As `putOnce`, of a local file. */
  putFile(key: string, path: string): Promise<boolean>;
  put(key: string, content: string | Uint8Array): Promise<void>;
  /** From an offset on, or the last bytes for a negative one; so many at most. Undefined when it is missing, or ends before. */
  get(key: string, offset?: number, maxBytes?: number): Promise<Buffer | undefined>;
  stream(key: string): Promise<NodeJS.ReadableStream | undefined>;
  /** Milliseconds since it was written, by the storage's own clock; undefined when it is missing. */
  ageMs(key: string): Promise<number | undefined>;
  /** Names directly below a folder, of objects and of folders, sorted. */
  list(folder: string): Promise<string[]>;
  remove(key: string): Promise<void>;
  /** Removes all objects below a folder. */
  removeTree(folder: string): Promise<void>;
}

/** Opens a bucket by its location; nothing is asked of it yet. Throws StoreUnavailable. */
export async function openBucket(location: string): Promise<Bucket> {
  const parsed = parseBucketLocation(location);
  if (parsed === undefined) {
    throw new StoreUnavailable(`${location} is no place for a store; expected s3://bucket/prefix`);
  }
  const { bucket: Bucket, prefix } = parsed;
  const sdk = await loadSdk();
  const endpoint = process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL'];
  const client = new sdk.S3Client({
    maxAttempts: ATTEMPTS,
    // Other storages than Amazon's know neither its newer checksums nor buckets as host names.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    forcePathStyle: endpoint !== undefined && endpoint !== '',
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: REQUEST_MS },
    ...(hasRegion() ? {} : { region: DEFAULT_REGION }),
  });
  /** The storage's clock less ours, by its last answer: nobody but the storage dates its objects. */
  let skewMs = 0;
  client.middlewareStack.add(
    (next) => async (request) => {
      const result = await next(request);
      const { headers } = result.response as { headers?: Record<string, string | undefined> };
      const date = Date.parse(headers?.['date'] ?? '');
      if (!Number.isNaN(date)) skewMs = date - Date.now();
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'storageClock' },
  );

  const keyOf = (key: string) => (prefix === '' ? key : `${prefix}/${key}`);
  const at = (key: string) => ({ Bucket, Key: keyOf(key) });
  const placeOf = (key: string) => `s3://${Bucket}/${keyOf(key)}`;

  /** Runs a request about a key; what goes wrong becomes StoreUnavailable, but for the codes that are an answer. */
  async function ask<T>(key: string, request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      const code = codeOf(error);
      if (code !== undefined && ANSWERS.has(code)) throw error;
      throw new StoreUnavailable(`${placeOf(key)}: ${reasonOf(error, code)}`, { cause: error });
    }
  }

  async function open(key: string, range: Pick<GetObjectCommandInput, 'Range'> = {}) {
    try {
      const command = new sdk.GetObjectCommand({ ...at(key), ...range });
      return (await ask(key, () => client.send(command))).Body;
    } catch (error) {
      if (isOneOf(error, MISSING) || isOneOf(error, BEYOND_ITS_END)) return undefined;
      throw error;
    }
  }

  async function* keysBelow(folder: string, delimiter?: string): AsyncGenerator<string> {
    const Prefix = `${keyOf(folder)}/`;
    let ContinuationToken: string | undefined;
    do {
      const command = new sdk.ListObjectsV2Command({
        Bucket,
        Prefix,
        Delimiter: delimiter,
        ContinuationToken,
      });
      const page = await ask(folder, () => client.send(command));
      for (const { Key } of page.Contents ?? []) yield (Key ?? '').slice(Prefix.length);
      for (const each of page.CommonPrefixes ?? []) {
        yield (each.Prefix ?? '').slice(Prefix.length, -1);
      }
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }

  async function putOnce(
    key: string,
    content: () => Pick<PutObjectCommandInput, 'Body' | 'ContentLength'>,
  ): Promise<boolean> {
    for (;;) {
      const command = new sdk.PutObjectCommand({ ...at(key), ...content(), IfNoneMatch: '*' });
      try {
        await ask(key, () => client.send(command));
        return true;
      } catch (error) {
        if (isOneOf(error, THERE_ALREADY)) return false;
        if (!isOneOf(error, CONFLICT)) throw error;
        await sleep(CONFLICT_PAUSE_MS);
      }
    }
  }

  async function remove(key: string): Promise<void> {
    await ask(key, () => client.send(new sdk.DeleteObjectCommand(at(key))));
  }

  return {
    location: placeOf('').replace(/\/$/, ''),

    putOnce: (key, content) => putOnce(key, () => ({ Body: Buffer.from(content) })),

    async putFile(key, path) {
      const { size: ContentLength } = await stat(path);
      return putOnce(key, () => ({ Body: createReadStream(path), ContentLength }));
    },

    async put(key, content) {
      const Body = Buffer.from(content);
      await ask(key, () => client.send(new sdk.PutObjectCommand({ ...at(key), Body })));
    },

    async get(key, offset = 0, maxBytes) {
      const body = await open(key, toRange(offset, maxBytes));
      if (body === undefined) return undefined;
      return Buffer.from(await ask(key, () => body.transformToByteArray()));
    },

    async stream(key) {
      // In Node a body is a stream of Node's.
      return (await open(key)) as NodeJS.ReadableStream | undefined;
    },

    async ageMs(key) {
      try {
        const { LastModified } = await ask(key, () =>
          client.send(new sdk.HeadObjectCommand(at(key))),
        );
        return LastModified && Date.now() + skewMs - LastModified.getTime();
      } catch (error) {
        if (isOneOf(error, MISSING)) return undefined;
        throw error;
      }
    },

    async list(folder) {
      const names: string[] = [];
      for await (const name of keysBelow(folder, '/')) names.push(name);
      return names.sort();
    },

    remove,

    async removeTree(folder) {
      const limit = pLimit(REMOVALS_AT_ONCE);
      const removals: Promise<void>[] = [];
      for await (const name of keysBelow(folder)) {
        removals.push(limit(() => remove(`${folder}/${name}`)));
      }
      await Promise.all(removals);
    },
  };
}

// --- internal ---

function toRange(offset: number, maxBytes?: number): { Range?: string } {
  if (offset < 0) return { Range: `bytes=${offset}` };
  if (maxBytes !== undefined) return { Range: `bytes=${offset}-${offset + maxBytes - 1}` };
  return offset === 0 ? {} : { Range: `bytes=${offset}-` };
}

/** Loaded only where a bucket is used: it takes a while, and may be left out of an installation. */
async function loadSdk() {
  // Of versions after this one, which is pinned.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  try {
    return await import('@aws-sdk/client-s3');
  } catch (error) {
    throw new StoreUnavailable(
      'a store in a bucket needs the package @aws-sdk/client-s3; install it beside twinpatch',
      { cause: error },
    );
  }
}

function hasRegion(): boolean {
  return Boolean(
    process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? process.env['AWS_PROFILE'],
  );
}

const MISSING = new Set(['NoSuchKey', 'NotFound']);
const BEYOND_ITS_END = new Set(['InvalidRange']);
const THERE_ALREADY = new Set(['PreconditionFailed']);
const CONFLICT = new Set(['ConditionalRequestConflict']);
const ANSWERS = new Set([...MISSING, ...BEYOND_ITS_END, ...THERE_ALREADY, ...CONFLICT]);

const REASONS: Record<string, string | undefined> = {
  NoSuchBucket: 'the bucket does not exist; create it, or name another one',
  AccessDenied: 'access denied; the credentials need to read, write, list and delete below it',
  Forbidden: 'access denied; the credentials need to read, write, list and delete below it',
  InvalidAccessKeyId: 'the storage does not know the access key; check AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'the secret key is wrong; check AWS_SECRET_ACCESS_KEY',
  CredentialsProviderError:
    'no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile',
  NotImplemented: 'the storage lacks conditional writes (If-None-Match), which a store needs',
};

function reasonOf(error: unknown, code: string | undefined): string {
  const known = REASONS[code ?? ''];
  if (known !== undefined) return known;
  const { message } = error as Error;
  return `the storage can't be used (${code === undefined ? '' : `${code}: `}${message}); the work goes on once it can`;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined;
}

function isOneOf(error: unknown, codes: Set<string>): boolean {
  return codes.has(codeOf(error) ?? '');
}
