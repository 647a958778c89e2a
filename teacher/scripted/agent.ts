/** The scripted agent: the turns of one rollout, as a sequence that reads what each of them brought. */

import { dirname, extname } from 'node:path/posix';
import type { Policy } from '../../domain/teacher-config.ts';
import {
  applyEdit,
  type Edit,
  mainEdit,
  partOf,
  secondEdit,
  toReplacement,
  wantsSecond,
} from './edits.ts';
import { type Family, familyOf, LANGUAGES } from './languages.ts';
import { bash, edit, MALFORMED, type Move, quote } from './moves.ts';
import {
  findDefinition,
  type FunctionText,
  type Line,
  parseListing,
  readFunction,
  splitName,
} from './source.ts';
import type { Target } from './target.ts';
import { type Aim, sayAim } from './topics.ts';
import { chance } from './wire.ts';

export interface Task {
  target: Target;
  aim: Aim;
  policy: Policy;
  /** In rollout 2 the aim stands in the task, in rollout 1 the agent has it of its own. */
  rollout: 1 | 2;
}

/** Yields moves and takes observations; the same observations always give the same moves. It ends where only `submit` is left. */
export type Work = Generator<Move, void, string>;

/** Everything the agent does for a task, up to the first submit. */
export function* work(task: Task): Work {
  const { policy, rollout } = task;
  const place = yield* look(task);
  if (policy === 'malformed-call') yield MALFORMED.broken;
  if (rollout === 1 && policy === 'empty-patch') {
    yield* readCallers(task);
    return;
  }
  if (rollout === 2 && policy === 'wrong-file') {
    yield* changeAnotherFile(task);
  } else if (place !== undefined) {
    yield* change(task, place);
  }
  if (rollout === 1 && policy === 'never-submits') yield* wander(task);
  if (policy === 'malformed-call') {
    yield chance('malformed', task.target.name) < 0.5 ? MALFORMED.two : MALFORMED.unknown;
  }
  yield* check(task);
}

/** Said with every submit, so that whoever reads the steps knows what they were about, even if the first ones are cut off. */
export function summarize({ target, aim, policy, rollout }: Task): string {
  if (rollout === 1 && policy === 'empty-patch') return 'I found nothing that needs a change.';
  return `This was about \`${target.name}\` in \`${target.file}\`. ${sayAim(aim)} That is dealt with now.`;
}

interface Place {
  shown: Line[];
  definition: number;
  found: FunctionText;
  family: Family;
}

const LINES_BEFORE = 4;
const LINES_AFTER = 110;

/** Finds the function and reads it; undefined where it can't be found. */
function* look({ target, aim, rollout }: Task): Generator<Move, Place | undefined, string> {
  const { name, file } = target;
  const { owner, own } = splitName(name);
  const family = familyOf(file);
  yield bash(
    rollout === 1
      ? `Let me see where \`${own}\` is used before I judge \`${file}\`.`
      : `The description names \`${own}\`; I look for it and its callers.`,
    `grep -rnwF --include=${quote(`*${extname(file)}`)} -- ${quote(own)} . | head -n 20`,
  );
  const patterns = [own, ...(owner === undefined ? [] : [owner])].map((w) => `-e ${quote(w)}`);
  const matches = yield bash(
    `Now the definition in \`${file}\`.`,
    `grep -nwF ${patterns.join(' ')} -- ${quote(file)}`,
  );
  const line = findDefinition(matches, name, family);
  if (line === undefined) {
    yield edit(`\`${own}\` is not easy to find there, so I read the beginning.`, file, {
      command: 'view',
      view_range: [1, LINES_AFTER],
    });
    return undefined;
  }
  const range = [Math.max(1, line - LINES_BEFORE), line + LINES_AFTER];
  let shown = parseListing(
    yield edit(`It begins in line ${line}.`, file, { command: 'view', view_range: range }),
  );
  if (shown.length === 0) {
    shown = parseListing(
      yield bash(
        'That did not show it; once more with other means.',
        `cat -n ${quote(file)} | sed -n '${range.join(',')}p'`,
      ),
    );
  }
  const definition = shown.findIndex(({ number }) => number === line);
  if (definition === -1) return undefined;
  if (chance('callers', aim.topic.title, name) < 0.4) yield* readCallers({ target });
  return { shown, definition, family, found: readFunction(shown, definition, name, family) };
}

function* readCallers({ target: { name, file } }: Pick<Task, 'target'>): Work {
  const { own } = splitName(name);
  yield bash(
    'What do the neighbours look like?',
    `ls ${quote(dirname(file))} | head -n 30; grep -cwF -- ${quote(own)} ${quote(file)}`,
  );
}

function* change(task: Task, { shown, definition, found, family }: Place): Work {
  const { target, aim, policy, rollout } = task;
  const { name } = target;
  const isPartial = policy === 'partial';
  const main = mainEdit(aim, found, name, family);
  const afterMain = applyEdit(main, shown);
  const again = readFunction(afterMain, definition, name, family);
  const second =
    isPartial || wantsSecond(aim, name)
      ? secondEdit(aim, afterOf(main, found, again), afterMain, name, family)
      : undefined;

  const leavesOut = isPartial && rollout === 2;
  const first = leavesOut && second === undefined ? partOf(main, family) : main;
  const why = rollout === 1 ? sayAim(aim) : 'This is where the description points to.';
  yield* apply(task, `${why} I change that in \`${name}\` in \`${target.file}\`.`, first, shown);
  if (second !== undefined && !leavesOut) {
    yield* apply(task, 'The end of the function needs a line too.', second, afterMain);
  }
}

/** After the main edit the body still begins where it began; what it ends with has moved. */
function afterOf(main: Edit, before: FunctionText, after: FunctionText): FunctionText {
  if (before.body === undefined) return after;
  return { ...after, body: { ...before.body, after: before.body.after + main.lines.length } };
}

/** By exchanging text; where that is refused, by line number. */
function* apply({ target: { file } }: Task, say: string, change: Edit, shown: Line[]): Work {
  const { oldText, newText } = toReplacement(change, shown);
  const isDone = (observation: string) =>
    change.lines.every((text) => text.trim() === '' || observation.includes(text.trim()));
  const aloud = { isAloud: true };
  const answer = yield {
    ...edit(say, file, { command: 'str_replace', old_str: oldText, new_str: newText }),
    ...aloud,
  };
  if (isDone(answer)) return;
  if (change.to > change.from) return;
  const insertLine = (shown[change.from]?.number ?? (shown.at(-1)?.number ?? 0) + 1) - 1;
  yield edit('Then by line number.', file, {
    command: 'insert',
    insert_line: insertLine,
    new_str: change.lines.join('\n'),
  });
}

function* changeAnotherFile({ target: { file } }: Task): Work {
  const extension = extname(file);
  const { comment } = LANGUAGES[familyOf(file)];
  const listing = yield bash(
    'Perhaps the cause is in another file.',
    `find . -type f -name ${quote(`*${extension}`)} -not -path './.git/*' -not -path '*/node_modules/*' | sort | head -n 40`,
  );
  const others = listing
    .split('\n')
    .flatMap((row) => (row.startsWith('./') && row.endsWith(extension) ? [row.slice(2)] : []))
    .filter((path) => path !== file);
  const other = others[Math.floor(chance('other', file) * others.length)];
  const note = `${comment} Callers elsewhere rely on what this module does with odd input.`;
  if (other === undefined) {
    yield edit('There is no other, so I write a new one.', `notes_on_input${extension}`, {
      command: 'create',
      file_text: `${note}\n`,
    });
    return;
  }
  const counted = yield bash(`\`${other}\` looks related.`, `wc -l < ${quote(other)}`);
  yield edit('I put it down at the end.', other, {
    command: 'insert',
    insert_line: Number.parseInt(counted, 10) || 0,
    new_str: `\n${note}`,
  });
}

function* check({ target: { file }, rollout }: Task): Work {
  yield bash('What have I changed so far?', 'git --no-pager diff --stat');
  if (rollout === 2 && chance('check', file) < 0.3) return;
  yield bash('And is it still well formed?', LANGUAGES[familyOf(file)].check(quote(file)));
}

/** Never comes to an end by itself. */
function* wander({ target: { file } }: Task): Work {
  for (let round = 0; ; round += 1) {
    const start = (round % 10) * 20 + 1;
    yield bash(
      `There may be more to it; part ${round + 1} of the file.`,
      `sed -n '${start},${start + 19}p' ${quote(file)}`,
    );
  }
}
