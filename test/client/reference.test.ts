import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configJsonSchema, everyKey } from '../../client/config-schema.ts';
import { packageRoot } from '../../client/package-root.ts';
import { renderReference, renderSchema } from '../../client/reference.ts';

describe('the reference of twinpatch.yaml', () => {
  it.each([
    ['configuration.md', renderReference],
    ['twinpatch.schema.json', renderSchema],
  ])('docs/%s is what the schema says; if not: npm run docs', async (file, render) => {
    expect(await readFile(join(packageRoot(), 'docs', file), 'utf8')).toBe(render());
  });

  it('describes every key', () => {
    const reference = renderReference();
    const bad = everyKey(configJsonSchema()).filter(
      ({ path, node }) =>
        !node.description?.endsWith('.') ||
        (!reference.includes(`| \`${path.slice(path.indexOf('.') + 1)}\` |`) && path.includes('.')),
    );
    expect(bad).toEqual([]);
  });
});
