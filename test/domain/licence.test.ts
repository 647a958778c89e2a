import { describe, expect, test } from 'vitest';
import { LICENCE_PATHS, licenceOf } from '../../domain/licence.ts';

const of = (files: Record<string, string>) => licenceOf(new Map(Object.entries(files)));

const MIT = `Copyright (c) 2020 Somebody

Permission is hereby granted, free of charge, to any person obtaining a
copy of this software …`;
const BSD = `Redistribution and use in source and binary forms, with or without
modification, are permitted …`;
const GPL =
  '   GNU GENERAL PUBLIC LICENSE\n      Version 3, 29 June 2007\n … the GNU Affero General Public License …';

describe('licenceOf', () => {
  test.each([
    [{ LICENSE: MIT }, 'MIT', 'permissive'],
    [{ 'license.md': `# ${MIT}` }, 'MIT', 'permissive'],
    [{ LICENSE: 'Apache License\n   Version 2.0, January 2004' }, 'Apache-2.0', 'permissive'],
    [{ LICENSE: BSD }, 'BSD-2-Clause', 'permissive'],
    [{ LICENSE: `${BSD}\n* Neither the name of X` }, 'BSD-3-Clause', 'permissive'],
    [{ COPYING: GPL }, 'GPL-3.0', 'copyleft'],
    [{ LICENSE: 'Mozilla Public License Version 2.0' }, 'MPL-2.0', 'weak-copyleft'],
    [{ LICENSE: 'Business Source License 1.1' }, 'BUSL-1.1', 'restricted'],
    [{ LICENSE: 'All rights reserved.' }, 'unknown', 'unknown'],
    [{}, 'none', 'none'],
  ])('%j is %s, %s', (files, name, kind) => {
    expect(of(files)).toEqual({ name, kind });
  });

  test('of several the one that asks for most counts', () => {
    expect(of({ 'LICENSE-MIT': MIT, 'LICENSE-APACHE': 'Apache License Version 2.0' })).toEqual({
      name: 'Apache-2.0, MIT',
      kind: 'permissive',
    });
    expect(of({ LICENSE: `${MIT}\n\nParts of it:\n${GPL}` })).toEqual({
      name: 'GPL-3.0, MIT',
      kind: 'copyleft',
    });
  });

  test.each([
    [{ 'package.json': '{ "name": "x", "license": "MIT" }' }, 'MIT', 'permissive'],
    [
      { 'pyproject.toml': '[project]\nlicense = { text = "BSD-3-Clause" }\n' },
      'BSD-3-Clause',
      'permissive',
    ],
    [
      { 'Cargo.toml': '[package]\nlicense = "MIT OR Apache-2.0"\n' },
      'Apache-2.0, MIT',
      'permissive',
    ],
    [{ 'setup.cfg': '[metadata]\nlicense = GPL-3.0-or-later\n' }, 'GPL-3.0', 'copyleft'],
    [{ 'package.json': '{ "license": "UNLICENSED" }' }, 'unknown', 'unknown'],
    [{ 'package.json': '{ "name": "x" }' }, 'none', 'none'],
  ])('without a text, %j says so itself', (files, name, kind) => {
    expect(of(files)).toEqual({ name, kind });
  });

  test('what a package says of itself does not outweigh the text', () => {
    expect(of({ COPYING: GPL, 'package.json': '{ "license": "MIT" }' }).name).toBe('GPL-3.0');
  });

  test('a long hostile text takes no time', () => {
    const text = `${BSD} ${'names of '.repeat(200_000)}`;
    const startedAt = performance.now();
    of({ LICENSE: text });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test('every place is at the top', () => {
    for (const path of LICENCE_PATHS) expect(path).not.toContain('/');
  });
});
