/** Text from a sandbox, made fit for a message. */

/**
 * At most `maxChars` characters of a text: the middle of a longer one gives way to a mark that counts what is missing.
 * NUL becomes U+FFFD, because some endpoints refuse it; other control characters stay.
 */
export function clip(text: string, maxChars: number): string {
  const clean = text.replaceAll('\0', '\uFFFD');
  if (clean.length <= maxChars) return clean;
  const widest = mark(clean.length).length;
  const kept = Math.max(0, maxChars - widest);
  let head = Math.ceil(kept / 2);
  let tail = clean.length - Math.floor(kept / 2);
  // A character outside the basic plane is two units: it is left out whole.
  if (isLowSurrogate(clean.charCodeAt(head))) head -= 1;
  if (isLowSurrogate(clean.charCodeAt(tail))) tail += 1;
  return clean.slice(0, head) + mark(tail - head) + clean.slice(tail);
}

function mark(chars: number): string {
  return `\n[… ${chars} characters left out …]\n`;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
