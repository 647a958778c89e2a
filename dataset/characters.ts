/** Kinds of characters, for what reads long texts one by one: patterns with captures take ten times as long. */

export const SPACE = 0;
export const LINE_END = 1;
export const MARK = 2;
export const DIGIT = 3;
/** Everything beyond ASCII counts as one. */
export const LETTER = 4;

/** Of a UTF-16 unit. */
export function kindOf(unit: number): number {
  return KINDS[unit] ?? LETTER;
}

// --- internal ---

const KINDS = Uint8Array.from({ length: 128 }, (_, unit) => {
  const character = String.fromCharCode(unit);
  if (character === '\n') return LINE_END;
  if (/\s/.test(character)) return SPACE;
  if (/\d/.test(character)) return DIGIT;
  return /[a-z]/i.test(character) ? LETTER : MARK;
});
