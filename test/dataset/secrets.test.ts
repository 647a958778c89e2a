import { expect, test } from 'vitest';
import { readExample } from '../../dataset/examples.ts';
import { DEFAULT_CONVERSATION } from '../../dataset/conversation.ts';
import type { SecretPolicy } from '../../dataset/secrets.ts';
import { NO_VIEWS } from '../../dataset/views.ts';
import { answer, call, opening, sample, side, trajectory } from './fixtures.ts';

const TOKEN = ['ghp_', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('');
const KEY = `-----BEGIN PRIVATE KEY-----\n${'MIIEowIBAAKCAQEA'.repeat(4)}\n-----END PRIVATE KEY-----`;

const leaking = side('s1/rollout-2.1', {
  trajectory: async () =>
    trajectory([
      ...opening,
      {
        ...call('bash', { command: `printf '${KEY}' | use ${TOKEN}` }),
        content: `I use ${TOKEN}.`,
      },
      answer(`token: ${TOKEN}\n${KEY}`),
      call('bash', { command: 'submit' }),
    ]),
});
const read = (secrets: SecretPolicy | undefined, of = leaking) =>
  readExample(sample('s1'), of, {
    conversation: { ...DEFAULT_CONVERSATION, ...(secrets && { secrets }) },
    views: NO_VIEWS,
  });

test('T43: a secret that came up in a rollout is in no text of its row', async () => {
  const row = JSON.stringify(await read(undefined));
  expect(row).toContain('token: xxxx');
  expect(row).not.toContain(TOKEN);
  expect(row).not.toContain('MIIEow');
  // The call is one still.
  expect(row).toContain('| use xxxx');
});

test('T43: or it costs the row, or stays', async () => {
  expect(await read('drop')).toEqual({ lost: 'secret' });
  expect(await read('drop', side('s1/rollout-2.1'))).not.toHaveProperty('lost');
  expect(JSON.stringify(await read('keep'))).toContain(TOKEN);
});
