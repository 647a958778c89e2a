/** Kinds of change the scripted teacher makes: how each looks from outside, and its code in every language. */

import type { Family } from './languages.ts';
import { pick } from './wire.ts';

export interface Topic {
  title: string;
  /** Stands in rollout 1's words and in the pull-request text; rollout 2 knows the topic by it. */
  symptom: string;
  expectation: string;
  /** Why the code is there; says nothing that the symptom says, so that the text gives no line away. */
  comment: string;
  /** Lines for a value `v` in a function `n`; a leading tab stands for one level of indentation. */
  code: Record<Family, (v: string, n: string) => string[]>;
}

const TOPICS: readonly [Topic, ...Topic[]] = [
  {
    title: 'Nothing where something is needed',
    symptom:
      'When nothing at all is handed over, the trouble only shows much later, somewhere else.',
    expectation: 'One learns at once that there was nothing to work with.',
    comment: 'Stop here rather than far away.',
    code: {
      python: (v, n) => [`if ${v} is None:`, `\traise ValueError("${n}: a value is missing")`],
      script: (v, n) => [
        `if (${v} === undefined || ${v} === null) {`,
        `\tthrow new TypeError('${n}: a value is missing');`,
        '}',
      ],
      go: (v, n) => [`if interface{}(${v}) == nil {`, `\tpanic("${n}: a value is missing")`, '}'],
    },
  },
  {
    title: 'Input without content',
    symptom: 'Input of no length passes as if it were fine, and the outcome makes no sense.',
    expectation: 'Such input is turned down with a clear message.',
    comment: 'There must be at least one element.',
    code: {
      python: (v, n) => [
        `if isinstance(${v}, (str, bytes, list, tuple, dict)) and len(${v}) == 0:`,
        `\traise ValueError("${n}: the input is empty")`,
      ],
      script: (v, n) => [
        `if ((typeof ${v} === 'string' || Array.isArray(${v})) && ${v}.length === 0) {`,
        `\tthrow new RangeError('${n}: the input is empty');`,
        '}',
      ],
      go: (v, n) => [
        `if text, isText := interface{}(${v}).(string); isText && text == "" {`,
        `\tpanic("${n}: the input is empty")`,
        '}',
      ],
    },
  },
  {
    title: 'Data of the caller is touched',
    symptom: 'Afterwards the data of whoever called looks different from before.',
    expectation: 'What belongs to others is left as it was.',
    comment: 'From here on with a copy of our own.',
    code: {
      python: (v) => [`if isinstance(${v}, (list, dict, set)):`, `\t${v} = ${v}.copy()`],
      script: (v) => [`if (Array.isArray(${v})) {`, `\t${v} = [...${v}];`, '}'],
      go: (v) => [
        `if list, isList := interface{}(${v}).([]string); isList {`,
        '\t_ = append([]string(nil), list...)',
        '}',
      ],
    },
  },
  {
    title: 'Blanks make a difference',
    symptom: 'Text with blanks around it is treated as if it were another text.',
    expectation: 'Blanks before and after do not matter.',
    comment: 'Only the inner part counts.',
    code: {
      python: (v) => [`if isinstance(${v}, str):`, `\t${v} = ${v}.strip()`],
      script: (v) => [`if (typeof ${v} === 'string') {`, `\t${v} = ${v}.trim();`, '}'],
      go: (v, n) => [
        `if text, isText := interface{}(${v}).(string); isText && len(text) > 0 && text[0] == ' ' {`,
        `\tpanic("${n}: the text begins with a blank")`,
        '}',
      ],
    },
  },
  {
    title: 'Entries given twice',
    symptom: 'Entries that come twice are also handled twice.',
    expectation: 'Each entry counts once, in the order given.',
    comment: 'Keep the first of equal ones.',
    code: {
      python: (v) => [`if isinstance(${v}, list):`, `\t${v} = list(dict.fromkeys(${v}))`],
      script: (v) => [`if (Array.isArray(${v})) {`, `\t${v} = [...new Set(${v})];`, '}'],
      go: (v, n) => [
        `if list, isList := interface{}(${v}).([]string); isList && len(list) > 1 && list[0] == list[1] {`,
        `\tpanic("${n}: an entry is repeated")`,
        '}',
      ],
    },
  },
  {
    title: 'Numbers below zero',
    symptom: 'Numbers below zero are accepted although they mean nothing here.',
    expectation: 'They are refused, and the message says which call it was.',
    comment: 'Zero is the least that is allowed.',
    code: {
      python: (v, n) => [
        `if isinstance(${v}, (int, float)) and ${v} < 0:`,
        `\traise ValueError("${n}: the number is negative")`,
      ],
      script: (v, n) => [
        `if (typeof ${v} === 'number' && ${v} < 0) {`,
        `\tthrow new RangeError('${n}: the number is negative');`,
        '}',
      ],
      go: (v, n) => [
        `if number, isNumber := interface{}(${v}).(int); isNumber && number < 0 {`,
        `\tpanic("${n}: the number is negative")`,
        '}',
      ],
    },
  },
  {
    title: 'No upper bound',
    symptom: 'Enormous input keeps everything busy for minutes before anything is said.',
    expectation: 'There is a bound, and beyond it a quick refusal.',
    comment: 'More than this was never meant.',
    code: {
      python: (v, n) => [
        'most = 1_000_000',
        `if hasattr(${v}, "__len__") and len(${v}) > most:`,
        `\traise ValueError("${n}: more than %d elements" % most)`,
      ],
      script: (v, n) => [
        `if (Array.isArray(${v}) && ${v}.length > 1000000) {`,
        `\tthrow new RangeError('${n}: more than 1000000 elements');`,
        '}',
      ],
      go: (v, n) => [
        `if text, isText := interface{}(${v}).(string); isText && len(text) > 1<<20 {`,
        `\tpanic("${n}: the text is too long")`,
        '}',
      ],
    },
  },
  {
    title: 'A failure taken for a result',
    symptom: 'The failure of an earlier step is taken for a regular value and processed further.',
    expectation: 'An earlier failure ends the work and is passed on.',
    comment: 'This is no value to work with.',
    code: {
      python: (v, n) => [
        `if isinstance(${v}, Exception):`,
        `\traise TypeError("${n}: got a failure") from ${v}`,
      ],
      script: (v, n) => [
        `if (${v} instanceof Error) {`,
        `\tthrow new TypeError('${n}: got a failure', { cause: ${v} });`,
        '}',
      ],
      go: (v) => [
        `if failure, isFailure := interface{}(${v}).(error); isFailure && failure != nil {`,
        '\tpanic(failure)',
        '}',
      ],
    },
  },
  {
    title: 'Nothing to follow',
    symptom: 'While debugging one cannot tell that this place was ever reached.',
    expectation: 'With debug output on, each passage leaves a trace.',
    comment: 'Cheap, and silent by default.',
    code: {
      python: (v, n) => [
        'import logging',
        '',
        `logging.getLogger(__name__).debug("${n}: %r", ${v})`,
      ],
      script: (v, n) => [
        `if (globalThis.process?.env.DEBUG) {`,
        `\tconsole.debug('${n}:', ${v});`,
        '}',
      ],
      go: (v, n) => [
        `if _, isFailure := interface{}(${v}).(error); isFailure {`,
        `\tprintln("${n}: called with an error")`,
        '}',
      ],
    },
  },
  {
    title: 'Bytes instead of text',
    symptom: 'Raw bytes come out garbled, while the same content as text is fine.',
    expectation: 'Both forms lead to the same outcome.',
    comment: 'UTF-8 is the only encoding in use.',
    code: {
      python: (v) => [
        `if isinstance(${v}, bytes):`,
        `\t${v} = ${v}.decode("utf-8", errors="replace")`,
      ],
      script: (v) => [
        `if (${v} instanceof Uint8Array) {`,
        `\t${v} = new TextDecoder().decode(${v});`,
        '}',
      ],
      go: (v, n) => [
        `if raw, isRaw := interface{}(${v}).([]byte); isRaw && len(raw) == 0 {`,
        `\tpanic("${n}: no bytes to read")`,
        '}',
      ],
    },
  },
];

export interface Occasion {
  said: string;
  remark: string;
}

/** How often the symptom is met; it varies the comment, so that the same topic may come twice on one function. */
const OCCASIONS: readonly [Occasion, ...Occasion[]] = [
  { said: 'It happens every time.', remark: 'Checked on every call.' },
  { said: 'It was met in the field twice.', remark: 'Seen in the field.' },
  { said: 'A colleague pointed it out in a review.', remark: 'Came up in a review.' },
];

/** What a rollout changes. */
export interface Aim {
  topic: Topic;
  occasion: Occasion;
}

/** The aim of rollout 1, drawn from the text of its task. */
export function drawAim(seed: number, task: string): Aim {
  return {
    topic: pick(TOPICS, seed, 'topic', task),
    occasion: pick(OCCASIONS, seed, 'when', task),
  };
}

/** One sentence or two that carry the aim. */
export function sayAim({ topic, occasion }: Aim): string {
  return `${topic.symptom} ${occasion.said}`;
}

/** The last aim that a text tells of, and where; undefined when it tells of none. */
export function findAim(text: string): { aim: Aim; index: number } | undefined {
  let found: { aim: Aim; index: number } | undefined;
  for (const topic of TOPICS) {
    for (const occasion of OCCASIONS) {
      const index = text.lastIndexOf(sayAim({ topic, occasion }));
      if (index > (found?.index ?? -1)) found = { aim: { topic, occasion }, index };
    }
  }
  return found;
}
