import { afterEach, expect, test } from 'vitest';
import { runRollout } from '../../../agent/loop.ts';
import { toTrajectory } from '../../../agent/trajectory.ts';
import { bash, createTeacher, editor, planWith, submit } from '../../support/agent-script.ts';
import { type AgentSandbox, createAgentSandbox } from '../../support/agent-sandbox.ts';
import { createMemoryJournal } from '../../support/memory-journal.ts';

const opened: AgentSandbox[] = [];
afterEach(() => Promise.all(opened.splice(0).map((sandbox) => sandbox.close())));

type Step = Record<string, unknown> | string;

/** Runs editor calls (objects) and commands (strings); what the agent saw of each, and the sandbox. */
async function perform(files: Record<string, string | Uint8Array>, steps: Step[]) {
  const sandbox = await createAgentSandbox(files);
  opened.push(sandbox);
  const script = steps.map((step) => (typeof step === 'string' ? bash(step) : editor(step)));
  const journal = createMemoryJournal();
  const teacher = createTeacher([...script, submit]);
  const plan = planWith();
  await runRollout(plan, { teacher, sandbox, journal }, new AbortController().signal);
  const seen = toTrajectory(plan, journal.entries).turns.flatMap((turn) =>
    turn.role === 'tool' ? [turn.content] : [],
  );
  return { seen, sandbox, bytes: (path: string) => sandbox.bytes(path).then(String) };
}

const latin1 = Uint8Array.from([0x63, 0x61, 0x66, 0xe9, 0x0a]);
const large = 'x'.repeat(1024 * 1024 + 1);

test.each<[string, Step, RegExp]>([
  ['a file', { command: 'view', path: '/testbed/a.py' }, /^ {5}1\tone\n {5}2\ttwo$/],
  ['a file by its relative path', { command: 'view', path: 'sub/../a.py' }, /one/],
  ['part of a file', { command: 'view', path: 'a.py', view_range: [2, -1] }, /^ {5}2\ttwo$/],
  ['no such part', { command: 'view', path: 'a.py', view_range: [3, 4] }, /begins at line 3/],
  ['an empty file', { command: 'view', path: 'empty' }, /^\/testbed\/empty is empty/],
  [
    'a folder',
    { command: 'view', path: '/testbed' },
    /without hidden files:\na.py\n[^]*\nsub\/\nsub\/deep\/$/,
  ],
  ['a file in another encoding', { command: 'view', path: 'latin1' }, /caf\uFFFD/],
  ['a very large file', { command: 'view', path: 'large' }, /has 1048577 bytes[^]*sed/],
  ['nothing', { command: 'view', path: 'missing' }, /nothing at \/testbed\/missing/],
  ['a path with NUL', { command: 'view', path: 'a\0.py' }, /NUL/],
  ['a device', { command: 'view', path: '/dev/null' }, /can't be viewed/],
])('viewing %s', async (_what, step, shown) => {
  const files = { 'a.py': 'one\ntwo\n', empty: '', latin1, large, 'sub/deep/z.py': '' };
  const { seen, sandbox } = await perform(files, [step]);
  expect(seen[0]).toMatch(shown);
  expect(sandbox.written).toEqual([]);
});

const replace = { command: 'str_replace', path: 'a.py', old_str: 'two', new_str: '2' };
const undo = { command: 'undo_edit', path: 'a.py' };

test.each<[string, Step[], RegExp, string]>([
  ['a replacement', [replace], /^Edited \/testbed\/a.py[^]*2\t2$/, 'one\r\n2\r\n'],
  [
    'an insertion',
    [{ command: 'insert', path: 'a.py', insert_line: 0, new_str: 'zero' }],
    /^Edited[^]*1\tzero/,
    'zero\r\none\r\ntwo\r\n',
  ],
  ['an edit taken back', [replace, undo], /^Took back[^]*2\ttwo/, 'one\r\ntwo\r\n'],
  [
    'two edits taken back',
    [replace, { ...replace, old_str: 'one', new_str: '1' }, undo, undo],
    /^Took back/,
    'one\r\ntwo\r\n',
  ],
  [
    'more taken back than there was',
    [replace, undo, undo],
    /no edit of \/testbed\/a.py/,
    'one\r\ntwo\r\n',
  ],
  ['an edit after one taken back', [replace, undo, replace], /^Edited/, 'one\r\n2\r\n'],
  [
    'an undo after a command changed the file',
    [replace, 'echo 3 > a.py', undo],
    /changed by something else/,
    '3\n',
  ],
  ['an undo after a refused edit', [replace, replace, undo], /^Took back/, 'one\r\ntwo\r\n'],
  [
    'a file that exists created again',
    [{ command: 'create', path: 'a.py', file_text: 'x' }],
    /exists already/,
    'one\r\ntwo\r\n',
  ],
])('%s', async (_what, steps, shown, content) => {
  const { seen, bytes } = await perform({ 'a.py': 'one\r\ntwo\r\n' }, steps);
  expect(seen[steps.length - 1]).toMatch(shown);
  expect(await bytes('a.py')).toBe(content);
});

test('a new file is written as given, folders included, and taken back by removing it', async () => {
  const create = { command: 'create', path: "new/it's.py", file_text: 'a\r\nb' };
  const { seen, bytes } = await perform({}, [
    create,
    `cp "new/it's.py" copy`,
    { command: 'undo_edit', path: "new/it's.py" },
    'ls new',
  ]);
  expect(seen[0]).toBe("Created /testbed/new/it's.py.");
  expect(await bytes('copy')).toBe('a\r\nb');
  expect(seen[2]).toContain('no longer exists');
  expect(seen[3]).toBe('[the command printed nothing]');
});

test.each<[string, Step, RegExp]>([
  ['in another encoding', { ...replace, path: 'latin1', old_str: 'caf' }, /not UTF-8/],
  ['too large', { ...replace, path: 'large' }, /1048577 bytes/],
  ['missing', { ...replace, path: 'missing' }, /no file at [^]*create/],
  ['a folder', { ...replace, path: 'sub' }, /is a folder/],
  ['a folder to be created', { command: 'create', path: 'sub', file_text: '' }, /exists already/],
  ['below a file', { command: 'create', path: 'latin1/x', file_text: '' }, /was not written: E/],
])('an edit of what is %s is refused, and the bytes stay', async (_what, step, shown) => {
  const { seen, sandbox } = await perform({ latin1, large, 'sub/x': '' }, [step]);
  expect(seen[0]).toMatch(shown);
  expect(new Uint8Array(await sandbox.bytes('latin1'))).toEqual(latin1);
});

test('an edit that could not be written is not one to take back', async () => {
  const { seen } = await perform({ f: '' }, [
    { command: 'create', path: 'f/x', file_text: '' },
    { command: 'undo_edit', path: 'f/x' },
  ]);
  expect(seen[1]).toContain('no edit of');
});

test('a byte-order mark survives an edit', async () => {
  const { bytes } = await perform({ 'a.py': '\uFEFFtwo\n' }, [replace]);
  expect(await bytes('a.py')).toBe('\uFEFF2\n');
});
