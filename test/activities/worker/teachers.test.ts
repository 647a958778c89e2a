import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Store } from '../../../domain/store.ts';
import { openStore } from '../../../store/open.ts';
import { createTeachers, type Teachers } from '../../../worker/teachers.ts';
import { toBatch } from '../../support/batch-fixture.ts';

let folder: string;
let store: Store;
let server: Server;
let baseUrl: string;
let teachers: Teachers | undefined;
/** Authorization headers of the requests that came. */
const sent: (string | undefined)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-teachers-'));
  store = await openStore(folder);
  sent.length = 0;
  server = createServer((request, response) => {
    sent.push(request.headers.authorization);
    request.resume().on('end', () => {
      const message = { role: 'assistant', content: 'yes' };
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          id: '1',
          object: 'chat.completion',
          model: 'glm',
          choices: [{ index: 0, finish_reason: 'stop', message }],
          usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
        }),
      );
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseUrl = `http://127.0.0.1:${(server.address() as { port: number }).port}/v1`;
});
afterEach(async () => {
  await teachers?.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

async function ask(
  key: { apiKeyEnv?: string; apiKeyFile?: string },
  variables: Record<string, string>,
  allowed: string[] = [],
) {
  const endpoints = [{ baseUrl, model: 'glm', ...key }];
  const batch = toBatch('b', store.id, { teacher: { endpoints } });
  await store.batches.put(batch);
  teachers = createTeachers(store, variables, allowed);
  const teacher = await teachers.teacherFor(batch);
  const { signal } = new AbortController();
  const messages = [{ role: 'user' as const, content: 'Is it?' }];
  return teacher.complete(
    { messages },
    { scope: 'b/000000-aaaaaa/rollout-1.1', step: 1, try: 1 },
    signal,
  );
}

test.each([
  ['no key where none is named', {}, { MY_API_KEY: 'k' }, [], undefined],
  ['the key of a variable', { apiKeyEnv: 'MY_API_KEY' }, { MY_API_KEY: 'k' }, [], 'Bearer k'],
  ['the key of an allowed one', { apiKeyEnv: 'TOKEN' }, { TOKEN: 'k' }, ['TOKEN'], 'Bearer k'],
])('sends %s', async (_what, key, variables, allowed, expected) => {
  expect((await ask(key, variables, allowed)).message.content).toBe('yes');
  expect(sent).toEqual([expected]);
  expect((await store.spend.total('b')).calls).toBe(1);
});

test('sends the key of a file, without its line end', async () => {
  await writeFile(join(folder, 'key'), 'from-file\n');
  await ask({ apiKeyFile: join(folder, 'key') }, {});
  expect(sent).toEqual(['Bearer from-file']);
});

test.each([
  ['a variable that was not allowed', { apiKeyEnv: 'HOME' }, 'TWINPATCH_ALLOW_ENV=HOME'],
  ['a variable that is not set', { apiKeyEnv: 'NO_API_KEY' }, 'NO_API_KEY is not set'],
  ['a file that is not there', { apiKeyFile: '/nowhere/key' }, '/nowhere/key'],
  ['an empty file', { apiKeyFile: '/dev/null' }, 'is empty'],
])('asks nobody with the key of %s, and says why', async (_what, key, why) => {
  await expect(ask(key, { HOME: 'secret' })).rejects.toMatchObject({
    kind: 'auth',
    message: expect.stringContaining(why) as string,
  });
  expect(sent).toEqual([]);
});

test('gives the scripted teacher to a batch that asks for it, one for all its samples', async () => {
  const batch = toBatch('b', store.id);
  teachers = createTeachers(store, {}, []);
  const [one, two] = await Promise.all([teachers.teacherFor(batch), teachers.teacherFor(batch)]);
  expect(one).toBe(two);
});
