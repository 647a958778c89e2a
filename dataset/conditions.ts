/** Conditions on the facts of a row, as they are written on the command line: `t2: recall >= 0.5`. */

import { closest } from 'fastest-levenshtein';
import { FACT_NAMES, FACTS, type FactName, type FactValue } from './facts.ts';
import { KINDS, type Kind } from './select.ts';

/** The condition, order or stratum is none; the message says what would be. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError';
}

export interface Condition {
  /** In one spelling; what the manifest counts its losses under. */
  text: string;
  /** Rows of the other kind meet it. */
  kind: Kind | undefined;
  fact: FactName;
  holds(value: FactValue): boolean;
}

/** Which rows go first where not all can stay. */
export interface Preference {
  fact: FactName;
  /** Those with the least first. */
  least: boolean;
}

/**
 * `FACT = A|B`, `FACT != A|B`, and for numbers `<`, `<=`, `>`, `>=`; `none` stands for what is not known, which meets no
 * comparison but `= none` and `!=`. `t1:` or `t2:` in front means these rows alone. Throws ConditionError.
 */
export function parseCondition(written: string): Condition {
  const match = FORM.exec(written.trim());
  if (match === null) {
    throw new ConditionError(
      `\`${written}\` is no condition: write a fact, a comparison and a value, such as \`t2: recall >= 0.5\``,
    );
  }
  const [, kind, name = '', operator = '', operand = ''] = match;
  const fact = parseFact(name);
  const values = operand.split('|').map((value) => readValue(fact, value.trim()));
  if (operator !== '=' && operator !== '!=') refuseOrder(fact, operator, values);
  return {
    text: `${kind === undefined ? '' : `${kind}: `}${fact} ${operator} ${values.map((value) => value ?? NONE).join('|')}`,
    kind: KINDS.find((each) => each === kind),
    fact,
    holds: (value) => compare(operator, value, values),
  };
}

/** `FACT`, or `FACT:least`. Throws ConditionError. */
export function parsePreference(written: string): Preference {
  const [name = '', direction, ...rest] = written.split(':');
  if (rest.length > 0 || (direction !== undefined && direction !== 'least')) {
    throw new ConditionError(`\`${written}\` is no order: write a fact, or \`${name}:least\``);
  }
  const fact = parseFact(name);
  if (FACTS[fact].type !== 'number')
    throw new ConditionError(`${fact} is a text, which has no order`);
  return { fact, least: direction === 'least' };
}

/** Throws ConditionError for a name that is of no fact. */
export function parseFact(name: string): FactName {
  const fact = FACT_NAMES.find((each) => each === name.trim());
  if (fact !== undefined) return fact;
  throw new ConditionError(
    `there is no fact \`${name.trim()}\`; the nearest is \`${closest(name, FACT_NAMES)}\`, all are in docs/datasets.md`,
  );
}

// --- internal ---

const FORM = /^(?:(t1|t2)\s*:\s*)?([A-Za-z][A-Za-z0-9]*)\s*(<=|>=|!=|=|<|>)\s*(.+)$/;
const NONE = 'none';

function readValue(fact: FactName, value: string): FactValue {
  if (value === NONE) return null;
  if (FACTS[fact].type === 'text') return value;
  const number = Number(value);
  if (value !== '' && Number.isFinite(number)) return number;
  throw new ConditionError(`${fact} is a number, and \`${value}\` is none`);
}

function refuseOrder(fact: FactName, operator: string, values: FactValue[]): void {
  if (FACTS[fact].type === 'text')
    throw new ConditionError(`${fact} is a text: compare it with = or !=`);
  if (values.length === 1 && values[0] !== null) return;
  throw new ConditionError(`${operator} compares with one number`);
}

function compare(operator: string, value: FactValue, values: FactValue[]): boolean {
  if (operator === '=') return values.includes(value);
  if (operator === '!=') return !values.includes(value);
  const [bound] = values;
  if (typeof value !== 'number' || typeof bound !== 'number') return false;
  switch (operator) {
    case '<':
      return value < bound;
    case '<=':
      return value <= bound;
    case '>':
      return value > bound;
    default:
      return value >= bound;
  }
}
