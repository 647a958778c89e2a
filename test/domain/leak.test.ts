import { describe, expect, test } from 'vitest';
import { leakScore } from '../../domain/leak.ts';

const patch = `diff --git a/http/headers.py b/http/headers.py
--- a/http/headers.py
+++ b/http/headers.py
@@ -10,3 +10,6 @@ def parse_header(line):
     name, _, value = line.partition(':')
-    return name, value
+    folded_value = value.replace('\\r\\n ', ' ')
+    if not is_token_name(name):
+        raise ValueError(f'bad header name: {name!r}')
+    return name, folded_value.strip()
`;

describe('leakScore', () => {
  test('a text that tells the symptom only leaks nothing, even where it names known functions', () => {
    const text =
      'Headers that span lines come out of `parse_header` with the break in their value.';
    expect(leakScore(text, patch)).toEqual({ score: 0, lines: 0, identifiers: 0, code: 0 });
  });

  test('a pasted diff leaks everything', () => {
    const score = leakScore(`Please apply:\n\`\`\`diff\n${patch}\`\`\`\n`, patch);
    expect(score).toEqual({ score: 1, lines: 1, identifiers: 1, code: 1 });
  });

  test('naming the new identifiers counts half', () => {
    const score = leakScore(
      'Compute folded_value first; a ValueError where is_token_name fails.',
      patch,
    );
    expect(score).toEqual({ score: 0.5, lines: 0, identifiers: 1, code: 0 });
  });

  test('a line quoted as a code span counts', () => {
    expect(leakScore('Add `if not is_token_name(name):` there.', patch).lines).toBe(0.25);
  });

  test('code taken over in the middle of a sentence counts, wherever its lines break', () => {
    const text =
      "Set folded_value = value.replace('\\r\\n ', ' ') if\nnot is_token_name(name) holds.";
    const score = leakScore(text, patch);
    expect(score.lines).toBe(0);
    expect(score.code).toBeGreaterThan(0.4);
    expect(score.code).toBeLessThan(1);
  });

  test('an empty text or a patch without lines leaks nothing', () => {
    expect(leakScore('', patch).score).toBe(0);
    expect(leakScore('anything at all', '').score).toBe(0);
  });

  test('stays fast on a long patch of one repeated word', () => {
    const lines = Array.from({ length: 5000 }, () => `+${'a_b '.repeat(10)}`).join('\n');
    const long = `--- a/x\n+++ b/x\n@@ -0,0 +1,5000 @@\n${lines}\n`;
    const start = performance.now();
    expect(leakScore('a_b '.repeat(10), long).score).toBe(1);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
