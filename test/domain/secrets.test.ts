import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findSecrets, isKeyFile, maskSecrets } from '../../domain/secrets.ts';

/** Planted tokens, put together here so that no scanner takes this file for a leak. */
const PLANTED: [rule: string, secret: string, around: (secret: string) => string][] = [
  ['aws-key', ['AKIA', 'QZ3RTW7KPLMN5DFG'].join(''), (s) => `key = "${s}"`],
  [
    'aws-key',
    ['wJalrXUtnFEMI/K7MDENG/bPx', 'RfiCYzQWERTYUIO'].join(''),
    (s) => `aws_secret_access_key = ${s}`,
  ],
  [
    'github-token',
    ['ghp_', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join(''),
    (s) => `TOKEN=${s}\n`,
  ],
  ['github-token', ['github_pat_', '11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ'].join(''), (s) => s],
  ['gitlab-token', ['glpat-', 'aB3dE6gH9jK2mN5pQ8sT'].join(''), (s) => `- ${s}`],
  ['slack-token', ['xoxb-', '2345678901-abcdefGHIJKLmnop'].join(''), (s) => `'${s}'`],
  [
    'slack-token',
    ['https://hooks.slack.com/services/', 'T02AB3CD4/B05EF6GH7/iJ8kL9mN1oP2qR3sT4uV5wX6'].join(''),
    (s) => s,
  ],
  [
    'model-key',
    ['sk-ant-api03-', 'Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St'].join(''),
    (s) => `{"key":"${s}"}`,
  ],
  ['model-key', ['sk-proj-', 'Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg'].join(''), (s) => `x(${s})`],
  ['model-key', ['hf_', 'AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh'].join(''), (s) => s],
  ['google-key', ['AIza', 'SyD3mK9pLq7RtWx2ZvBn4MhGf6JcYk8Ue1o'].join(''), (s) => `key=${s}&x=1`],
  ['stripe-key', ['sk_live_', '4eC39HqLyjWDarjtT1zdp7dc'].join(''), (s) => s],
  [
    'package-token',
    ['npm_', 'aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT1uV2wX3'].join(''),
    (s) => `//registry/:_authToken=${s}`,
  ],
  [
    'sendgrid-key',
    ['SG.', 'aB1cD2eF3gH4iJ5kL6mN7o', '.', 'P8qR9sT1uV2wX3yZ4aB5cD6eF7gH8iJ9kL1mN2oP3qR'].join(''),
    (s) => s,
  ],
  ['url-password', 'tr0ub4dor', (s) => `postgres://app:${s}@db.internal:5432/app`],
];
const BODY = Array.from({ length: 5 }, (_, row) => `MIIEow${row}IBAAKCAQEA${'q7Zx'.repeat(10)}`);
const begin = (kind: string) => `-----BEGIN ${kind}PRIVATE KEY-----`;
const end = (kind: string) => `-----END ${kind}PRIVATE KEY-----`;

describe('T43: secrets of a repository are found by their shape', () => {
  test.each(PLANTED)('%s: %s', (rule, secret, around) => {
    const text = `a = 1\n${around(secret)}\nb = 2\n`;
    expect(findSecrets(text)).toEqual([
      { rule, start: text.indexOf(secret), end: text.indexOf(secret) + secret.length },
    ]);
    const masked = maskSecrets(text);
    expect(masked).not.toContain(secret);
    expect(masked).toHaveLength(text.length);
    expect(findSecrets(masked)).toEqual([]);
  });

  test.each(['', 'RSA ', 'OPENSSH ', 'ENCRYPTED '])('a %sprivate key', (kind) => {
    const text = `x\n${begin(kind)}\n${BODY.join('\n')}\n${end(kind)}\ny\n`;
    const masked = maskSecrets(text);
    for (const row of BODY) expect(masked).not.toContain(row);
    expect(masked.split('\n')).toHaveLength(text.split('\n').length);
    expect(masked).toContain(`${begin(kind)}\n`);
    // As in the key file of a service account.
    const json = JSON.stringify({
      private_key: `${begin(kind)}\n${BODY.join('\n')}\n${end(kind)}\n`,
    });
    expect(maskSecrets(json)).not.toContain(BODY[2]);
    expect(JSON.parse(maskSecrets(json))).toHaveProperty('private_key');
  });

  test.each([
    'a stub: -----BEGIN PRIVATE KEY-----',
    'AKIAIOSFODNN7EXAMPLE',
    'from sklearn import sk-learn-with-a-rather-long-name-indeed',
    'postgres://user:password@db.internal/app',
    'postgres://user:${DB_PASSWORD}@db.internal/app',
    'postgres://app:hunter22@localhost/app',
    'http://example.org:8080/path@v1',
    'git@github.com:owner/repository.git',
    `sha256:${'0123456789abcdef'.repeat(4)}`,
    'npm_config_registry=https://registry.example.org',
  ])('is none: %s', (text) => {
    expect(findSecrets(text)).toEqual([]);
    expect(maskSecrets(text)).toBe(text);
  });

  test('a masked text has the lines of the text, whatever it holds', () => {
    const piece = fc.constantFrom(
      ...PLANTED.map(([, secret, around]) => around(secret)),
      begin(''),
      BODY[0]!,
      end(''),
      'AKIA',
      '://a:b@',
      '\n',
      '"',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('\n');
        const masked = maskSecrets(text);
        expect(masked).toHaveLength(text.length);
        expect(masked.split('\n').map((line) => line.length)).toEqual(
          text.split('\n').map((line) => line.length),
        );
      }),
    );
  });

  test('stays fast on hostile texts', () => {
    const start = performance.now();
    for (const text of [
      begin('RSA ').repeat(5_000),
      'sk-a'.repeat(20_000),
      'a://b:'.repeat(20_000),
      `${begin('')}\n${'A'.repeat(300_000)}`,
    ]) {
      findSecrets(text);
    }
    expect(performance.now() - start).toBeLessThan(15_000);
  });

  test.each([
    ['.env', true],
    ['config/.env.production', true],
    ['.env.example', false],
    ['environment.py', false],
    ['deploy/id_rsa', true],
    ['deploy/id_rsa.pub', false],
    ['certs/server.p12', true],
    ['.aws/credentials', true],
    ['docs/credentials', false],
    ['.netrc', true],
    ['.gitignore', false],
  ])('%s is a file of keys: %s', (path, expected) => {
    expect(isKeyFile(path)).toBe(expected);
  });
});
