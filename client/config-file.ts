/** twinpatch.yaml as text: parsed strictly, with the place of every key. */

import { isMap, isScalar, isSeq, LineCounter, parseDocument, type ParsedNode } from 'yaml';

/** A parsed file: its plain value, what is wrong with its text, and where its keys stand. */
export interface ConfigText {
  value: unknown;
  problems: { place: string; reason: string }[];
  /** `3:5` of a key (or of its value), or of the nearest one above it that is there. */
  placeOf(path: readonly (string | number)[], of: 'key' | 'value'): string;
  has(path: readonly (string | number)[]): boolean;
}

/** Longer is no configuration. */
export const MAX_CONFIG_BYTES = 1024 ** 2;

/** Reads YAML 1.2; syntax errors, duplicate keys, unknown tags and excessive aliases are problems, never thrown. */
export function parseConfigText(text: string): ConfigText {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true });
  const at = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset);
    return `${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const problems = [...document.errors, ...document.warnings].map(({ code, message, pos }) => ({
    place: at(pos[0]),
    reason: REASONS[code]?.(keyAt(text, pos[0])) ?? `not YAML: ${message}`,
  }));
  let value: unknown;
  if (problems.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      // The one error of toJS: aliases that multiply, or name nothing.
      const reason = `its aliases can't be resolved: ${error instanceof Error ? error.message : String(error)}`;
      problems.push({ place: '1:1', reason });
    }
  }
  return {
    value,
    problems,
    placeOf(path, of) {
      let offset = document.contents?.range[0] ?? 0;
      let node: ParsedNode | null | undefined = document.contents;
      for (const [depth, step] of path.entries()) {
        const child = childOf(node, step);
        if (child === undefined) break;
        const isLast = depth === path.length - 1;
        const start = isLast && of === 'value' ? child.valueStart : child.start;
        offset = start ?? offset;
        node = child.node;
      }
      return at(offset);
    },
    has(path) {
      let node: ParsedNode | null | undefined = document.contents;
      return path.every((step) => {
        const child = childOf(node, step);
        node = child?.node;
        return child !== undefined;
      });
    },
  };
}

// --- internal ---

const MAX_ALIASES = 100;

const REASONS: Record<string, (key: string) => string> = {
  DUPLICATE_KEY: (key) => `${key}: the key is given twice; keep one`,
  TAB_AS_INDENT: () => 'tabs cannot indent YAML; use spaces',
  MULTIPLE_DOCS: () => 'a second document begins here (`---`); keep one',
  NON_STRING_KEY: () => 'a key must be plain text',
};

function keyAt(text: string, offset: number): string {
  return /["']?([^"':\s]*)/y.exec(text.slice(offset, offset + 200))?.[1] ?? '';
}

function childOf(node: ParsedNode | null | undefined, step: string | number) {
  if (isMap<ParsedNode, ParsedNode | null>(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
    if (pair === undefined) return undefined;
    const start = pair.key.range?.[0];
    const isEmpty = pair.value === null || (isScalar(pair.value) && pair.value.value === null);
    return { node: pair.value, start, valueStart: isEmpty ? start : pair.value?.range?.[0] };
  }
  if (isSeq<ParsedNode>(node)) {
    const item = node.items[Number(step)];
    if (item === undefined) return undefined;
    return { node: item, start: item.range?.[0], valueStart: item.range?.[0] };
  }
  return undefined;
}
