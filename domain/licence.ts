/** Which licence a repository is under, told by the files at its top; for policies of what may become training data. */

/** From the least to the most that it asks for. */
export const LICENCE_KINDS = [
  'permissive',
  'weak-copyleft',
  'copyleft',
  'restricted',
  'unknown',
  'none',
] as const;
export type LicenceKind = (typeof LICENCE_KINDS)[number];

export interface Licence {
  /** SPDX names, sorted, with commas between; `unknown` where there is a licence nobody knows here, `none` where there is none. */
  name: string;
  /** Of several the one that asks for most: they may hold for different parts. */
  kind: LicenceKind;
}

/** Where a licence stands, or is named. */
export const LICENCE_PATHS: readonly string[] = [
  ...['LICENSE', 'LICENCE', 'COPYING', 'UNLICENSE', 'COPYING.LESSER'].flatMap((name) =>
    ['', '.txt', '.md', '.rst'].flatMap((ending) => [name + ending, name.toLowerCase() + ending]),
  ),
  ...['MIT', 'APACHE', 'BSD'].flatMap((name) => [`LICENSE-${name}`, `LICENSE-${name}.txt`]),
  'package.json',
  'pyproject.toml',
  'Cargo.toml',
  'setup.cfg',
];

/** The licence of a repository by the content of those of `LICENCE_PATHS` that it has; texts of licences go before what a package says of itself. */
export function licenceOf(contents: ReadonlyMap<string, string>): Licence {
  const entries = [...contents];
  const texts = entries.filter(([path]) => !isPackage(path)).map(([, text]) => squeeze(text));
  const read = texts.flatMap(namesInText);
  const names = read.length > 0 ? read : entries.flatMap(([path, text]) => declaredIn(path, text));
  if (names.length > 0) return toLicence([...new Set(names)].sort());
  return texts.length > 0 ? { name: 'unknown', kind: 'unknown' } : { name: 'none', kind: 'none' };
}

// --- internal ---

interface Known {
  kind: LicenceKind;
  /** Words of its text, in lower case with single spaces; all of them must be there. */
  words: RegExp[];
  /** Words that make it another licence. */
  not?: RegExp;
}

const REDISTRIBUTION = /redistribution and use in source and binary forms/;
const USE_FOR_ANY_PURPOSE =
  /permission to use, copy, modify,? and(?:\/or)? distribute this software/;
const NOTICE = /provided that the above copyright notice/;

const KNOWN: Record<string, Known> = {
  'Apache-2.0': { kind: 'permissive', words: [/apache license,? version 2\.0/] },
  MIT: {
    kind: 'permissive',
    words: [/permission is hereby granted, free of charge, to any person obtaining a copy/],
    not: /boost software license/,
  },
  'BSD-3-Clause': {
    kind: 'permissive',
    words: [REDISTRIBUTION, /(?:neither|nor) the names? of|names? of .{1,200} may not be used/],
  },
  'BSD-2-Clause': {
    kind: 'permissive',
    words: [REDISTRIBUTION],
    not: /(?:neither|nor) the names? of|names? of .{1,200} may not be used/,
  },
  ISC: { kind: 'permissive', words: [USE_FOR_ANY_PURPOSE, NOTICE] },
  '0BSD': { kind: 'permissive', words: [USE_FOR_ANY_PURPOSE], not: NOTICE },
  'BSL-1.0': { kind: 'permissive', words: [/boost software license/] },
  'PSF-2.0': { kind: 'permissive', words: [/python software foundation license version 2/] },
  Zlib: { kind: 'permissive', words: [/altered source versions must be plainly marked as such/] },
  Unlicense: {
    kind: 'permissive',
    words: [/free and unencumbered software released into the public domain/],
  },
  'CC0-1.0': { kind: 'permissive', words: [/cc0 1\.0 universal/] },
  'MPL-2.0': { kind: 'weak-copyleft', words: [/mozilla public license,? (?:version|v\.) ?2\.0/] },
  'EPL-2.0': { kind: 'weak-copyleft', words: [/eclipse public license -? ?v(?:ersion)? ?2\.0/] },
  'LGPL-2.1': { kind: 'weak-copyleft', words: [/gnu lesser general public license version 2\.1/] },
  'LGPL-3.0': { kind: 'weak-copyleft', words: [/gnu lesser general public license version 3/] },
  'GPL-2.0': { kind: 'copyleft', words: [/gnu general public license version 2/] },
  'GPL-3.0': { kind: 'copyleft', words: [/gnu general public license version 3/] },
  'AGPL-3.0': { kind: 'copyleft', words: [/gnu affero general public license version 3/] },
  'BUSL-1.1': { kind: 'restricted', words: [/business source license 1\.1/] },
  'SSPL-1.0': { kind: 'restricted', words: [/server side public license/] },
  'Elastic-2.0': { kind: 'restricted', words: [/elastic license 2\.0/] },
};

/** Names as people write them that are not those above, in lower case. */
const OTHER_NAMES: Record<string, string> = {
  apache: 'Apache-2.0',
  'apache 2.0': 'Apache-2.0',
  'apache license 2.0': 'Apache-2.0',
  'mit license': 'MIT',
  bsd: 'BSD-3-Clause',
  'new bsd': 'BSD-3-Clause',
};

function isPackage(path: string): boolean {
  return /\.(?:json|toml|cfg)$/.test(path);
}

function squeeze(text: string): string {
  return text.toLowerCase().replaceAll(/[\s*#"“”]+/g, ' ');
}

function namesInText(text: string): string[] {
  return Object.entries(KNOWN).flatMap(([name, { words, not }]) =>
    words.every((word) => word.test(text)) && not?.test(text) !== true ? [name] : [],
  );
}

/** What a package says of itself: a name, or several with AND and OR between. */
function declaredIn(path: string, text: string): string[] {
  if (!isPackage(path)) return [];
  const pattern = path.endsWith('.json')
    ? /"license"\s*:\s*"([^"\n]{1,100})"/
    : /^license\s*=\s*(?:\{\s*text\s*=\s*)?["']?([^"'\n}]{1,100})/m;
  const [, declared] = pattern.exec(text) ?? [];
  if (declared === undefined) return [];
  return declared.split(/\s+(?:AND|OR|WITH)\s+|[()/]/).flatMap((part) => {
    const name = part.trim();
    return name === '' ? [] : [toKnownName(name)];
  });
}

function toKnownName(name: string): string {
  const lower = name.toLowerCase();
  const bare = lower.replace(/-(?:only|or-later)$|\+$/, '');
  return (
    OTHER_NAMES[lower] ??
    Object.keys(KNOWN).find((known) => known.toLowerCase() === bare) ??
    'unknown'
  );
}

function toLicence(names: string[]): Licence {
  const kinds = names.map((name) => KNOWN[name]?.kind ?? 'unknown');
  const kind = LICENCE_KINDS.findLast((each) => kinds.includes(each)) ?? 'unknown';
  return { name: names.join(', '), kind };
}
