import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';

const PACKAGES = ['client', 'common', 'proto', 'worker', 'workflow', 'activity'];

test('all Temporal packages share one protobufjs: with several, recorded histories can not be read', () => {
  const paths = PACKAGES.map((name) => {
    const require = createRequire(import.meta.url);
    const own = createRequire(require.resolve(`@temporalio/${name}`));
    return realpathSync(own.resolve('protobufjs'));
  });
  expect(new Set(paths).size).toBe(1);
});

test('all Temporal packages have one version', () => {
  const require = createRequire(import.meta.url);
  const versions = PACKAGES.map(
    (name) => (require(`@temporalio/${name}/package.json`) as { version: string }).version,
  );
  expect(new Set(versions).size).toBe(1);
});
