import { describe, expect, test } from 'vitest';
import { extractFunctions } from '../../repository/functions.ts';
import { languageOf } from '../../repository/languages.ts';

/** `name start-end`, with `method` and `nested` where they hold. */
async function found(path: string, source: string): Promise<string[]> {
  const language = languageOf(path);
  if (language === undefined) throw new Error(`${path} has no language`);
  const functions = await extractFunctions(source, language);
  return functions.map(({ name, kind, startLine, endLine, nested }) =>
    [name, `${startLine}-${endLine}`, kind === 'method' && kind, nested && 'nested']
      .filter(Boolean)
      .join(' '),
  );
}

interface Case {
  title: string;
  source: string;
  expected: string[];
}

const PYTHON: Case[] = [
  {
    title: 'starts a decorated function at its def',
    source: '@cache\n@app.route("/")\ndef index():\n    return 1\n',
    expected: ['index 3-4'],
  },
  {
    title: 'starts an async function at its async def',
    source: 'class A:\n    @x\n    async def go(self):\n        await f()\n',
    expected: ['A.go 3-4 method'],
  },
  {
    title: 'qualifies nested functions and classes',
    source:
      'def outer():\n  def inner():\n    class Local:\n      def m(self): pass\n    return 1\n  return inner\n\nclass A:\n  class B:\n    def m(self): pass\n',
    expected: [
      'outer 1-6',
      'outer.inner 2-5 nested',
      'outer.inner.Local.m 4-4 method nested',
      'A.B.m 10-10 method',
    ],
  },
  {
    title: 'finds functions in every kind of block',
    source: [
      'if TYPE_CHECKING:',
      '  def a(): ...',
      'elif x:',
      '  def b(): ...',
      'else:',
      '  def c(): ...',
      'try:',
      '  def d(): ...',
      'except E:',
      '  def e(): ...',
      'else:',
      '  def f(): ...',
      'finally:',
      '  def g(): ...',
      'for i in x:',
      '  def h(): ...',
      'while x:',
      '  def i(): ...',
      'with x:',
      '  def j(): ...',
      'match x:',
      '  case 1:',
      '    def k(): ...',
      '',
    ].join('\n'),
    expected: [...'abcdefghij']
      .map((name, i) => `${name} ${2 * i + 2}-${2 * i + 2}`)
      .concat('k 23-23'),
  },
  {
    title: 'lists every overload',
    source:
      '@overload\ndef f(x: int) -> int: ...\n@overload\ndef f(x: str) -> str: ...\ndef f(x):\n  return x\n',
    expected: ['f 2-2', 'f 4-4', 'f 5-6'],
  },
  {
    title: 'lists no lambda',
    source: 'f = lambda x: x\ndef g(key=lambda: 1): pass\n',
    expected: ['g 2-2'],
  },
  {
    title: 'ends a function at its last statement, not at a comment after it',
    source: 'def f(x):\n  if x:\n    return 1\n    # why\n  # not\n\n# other\ny = 1\n',
    expected: ['f 1-3'],
  },
  {
    title: 'ends a function at the end of a text that looks like a comment',
    source: 'def f():\n  return """\n# no comment"""\n',
    expected: ['f 1-3'],
  },
  {
    title: 'takes generics and names of any alphabet',
    source: 'def first[T](xs: list[T]) -> T:\n  return xs[0]\n\ndef größe():\n  pass\n',
    expected: ['first 1-2', 'größe 4-5'],
  },
  {
    title: 'leaves out what is broken and keeps the rest',
    source: 'def a():\n  return 1\n\ndef broken(:\n  pass\n\ndef b():\n  return 2\n',
    expected: ['a 1-2', 'b 7-8'],
  },
  {
    title:
      'leaves out methods whose class is lost to a syntax error, rather than name them wrongly',
    source: 'class A(x for\n    def m(self):\n        return 1\n\ndef f():\n    return 2\n',
    expected: ['f 5-6'],
  },
  {
    title: 'counts the lines of a file with carriage returns',
    source: 'x = 1\r\ndef f():\r\n  return 1\r\n\rdef g(): pass\r',
    expected: ['f 2-3', 'g 5-5'],
  },
];

const JAVASCRIPT: Case[] = [
  {
    title: 'names declarations and generators',
    source:
      'function a() {\n}\nasync function b() {}\nfunction* c() {}\nexport async function* d() {}\n',
    expected: ['a 1-2', 'b 3-3', 'c 4-4', 'd 5-5'],
  },
  {
    title: 'names members of a class of any sort',
    source: [
      'class A extends B {',
      '  constructor() { super(); }',
      '  async m() {}',
      '  static *s() {}',
      '  get v() { return 1; }',
      '  set v(x) {}',
      '  #p() {}',
      '  field = () => {};',
      '  static other = function () {};',
      "  'quoted'() {}",
      '  [Symbol.iterator]() {}',
      '}',
    ].join('\n'),
    expected: [
      'A.constructor 2-2 method',
      'A.m 3-3 method',
      'A.s 4-4 method',
      'A.v 5-5 method',
      'A.v 6-6 method',
      'A.#p 7-7 method',
      'A.field 8-8 method',
      'A.other 9-9 method',
      'A.quoted 10-10 method',
      'A.[Symbol.iterator] 11-11 method',
    ],
  },
  {
    title: 'names function values by what they are bound to',
    source: [
      'const a = () => 1;',
      'let b = async function () {}, c = (x => x);',
      'exports.x = function () {};',
      'module.exports = class { run() {} };',
      'Foo.prototype.bar = function bar() {};',
      'obj.method = async () => {};',
      'const K = class { m() {} };',
    ].join('\n'),
    expected: [
      'a 1-1',
      'b 2-2',
      'c 2-2',
      'exports.x 3-3',
      'module.exports.run 4-4 method',
      'Foo.prototype.bar 5-5',
      'obj.method 6-6',
      'K.m 7-7 method',
    ],
  },
  {
    title: 'names functions of object literals',
    source: 'const api = {\n  get() {},\n  put: () => 1,\n  inner: { deep: function () {} },\n};\n',
    expected: ['api.get 2-2 method', 'api.put 3-3 method', 'api.inner.deep 4-4 method'],
  },
  {
    title: 'calls a default export default',
    source: 'export default function () {}\n',
    expected: ['default 1-1'],
  },
  {
    title: 'calls a default arrow default and keeps the name of a default class',
    source: 'export default () => {};\nexport default class Named { m() {} }\n',
    expected: ['default 1-1', 'Named.m 2-2 method'],
  },
  {
    title: 'lists no anonymous callback, and what is in one as outside of any function',
    source:
      'list.map((x) => x);\n(function () {\n  function inner() {}\n})();\nit("works", () => {});\n',
    expected: ['inner 3-3'],
  },
  {
    title: 'reads JSX, and ignores handlers in it',
    source:
      'const Page = () => (\n  <div onClick={() => go()}>{items.map((i) => <b>{i}</b>)}</div>\n);\n',
    expected: ['Page 1-3'],
  },
  {
    title: 'finds functions in functions',
    source: 'function outer() {\n  const inner = () => {};\n  return { helper() {} };\n}\n',
    expected: ['outer 1-4', 'outer.inner 2-2 nested', 'outer.helper 3-3 method nested'],
  },
  {
    title: 'leaves out what is broken and keeps the rest',
    source:
      'function a() { return 1; }\nfunction broken( { return ]; }\nfunction b() { return 2; }\n',
    expected: ['a 1-1', 'b 3-3'],
  },
];

const TYPESCRIPT: Case[] = [
  {
    title: 'takes the implementation of overloads, not the signatures',
    source:
      'function f(a: string): void;\nfunction f(a: number): void;\nfunction f(a: unknown) {\n}\n',
    expected: ['f 3-4'],
  },
  {
    title: 'lists nothing without a body',
    source:
      'declare function d(): void;\ninterface I { m(): void }\nabstract class A {\n  abstract m(): void;\n  n<T>(x: T): T { return x; }\n  declare cb: () => void;\n}\ntype F = (x: number) => void;\n',
    expected: ['A.n 5-5 method'],
  },
  {
    title: 'starts a decorated method at its name',
    source: 'class A {\n  @log()\n  private async go(): Promise<void> {\n  }\n}\n',
    expected: ['A.go 3-4 method'],
  },
  {
    title: 'sees through casts, and qualifies by namespace',
    source:
      'namespace N { export function g() {} }\nconst i = (() => 1) as Fn;\nconst h = <T,>(x: T) => x;\nconst k = { l() {} } satisfies Api;\n',
    expected: ['N.g 1-1', 'i 2-2', 'h 3-3', 'k.l 4-4 method'],
  },
];

const TSX: Case[] = [
  {
    title: 'reads components and their handlers',
    source:
      'export function App({ a }: Props) {\n  const go = () => {};\n  return <Foo<T> render={() => <i />} />;\n}\n',
    expected: ['App 1-4', 'App.go 2-2 nested'],
  },
];

const GO: Case[] = [
  {
    title: 'qualifies methods by their type, without pointer and parameters',
    source:
      'package a\nfunc F() {\n}\nfunc (r *T) M() {}\nfunc (T) N() {}\nfunc (t *Tree[K, V]) G() {}\nfunc Map[T any](x []T) {}\n',
    expected: ['F 2-3', 'T.M 4-4 method', 'T.N 5-5 method', 'Tree.G 6-6 method', 'Map 7-7'],
  },
  {
    title: 'lists no function literal and nothing without a body',
    source: 'package a\nvar f = func() {}\nfunc asm()\nfunc run() {\n  go func() {}()\n}\n',
    expected: ['run 4-6'],
  },
];

describe.each([
  ['a.py', PYTHON],
  ['a.js', JAVASCRIPT],
  ['a.ts', TYPESCRIPT],
  ['a.tsx', TSX],
  ['a.go', GO],
])('in %s', (path, cases) => {
  test.each(cases)('$title', async ({ source, expected }) => {
    expect(await found(path, source)).toEqual(expected);
  });
});

test('a tree as deep as the file wants does not exhaust the stack', async () => {
  const source = `${'['.repeat(20_000)}${']'.repeat(20_000)};\nfunction after() {}\n`;
  expect(await found('deep.js', source)).toContain('after 2-2');
});
