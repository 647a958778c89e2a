import { describe, expect, test } from 'vitest';
import { leakOf } from '../../domain/leak.ts';

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

describe('leakOf', () => {
  test('a text that tells the symptom only leaks nothing, even where it names known functions', () => {
    const text =
      'Headers that span lines come out of `parse_header` with the break in their value.';
    expect(leakOf(text, patch)).toEqual({
      score: 0,
      lines: 0,
      code: 0,
      identifiers: 0,
      literals: 0,
      positions: 0,
      given: [],
    });
  });

  test('T53: a pasted diff leaks everything', () => {
    const leak = leakOf(`Please apply:\n\`\`\`diff\n${patch}\`\`\`\n`, patch);
    expect(leak).toMatchObject({ score: 1, lines: 1, code: 1, identifiers: 1, literals: 1 });
  });

  test('T53: a code block copied from the change leaks, and what it gave away is told', () => {
    const leak = leakOf(
      "Continuation lines are kept.\n\n```python\nfolded_value = value.replace('\\r\\n ', ' ')\n```\n",
      patch,
    );
    expect(leak.lines).toBe(0.25);
    expect(leak.code).toBeGreaterThan(0.2);
    expect(leak.given.join('\n')).toContain('folded_value');
  });

  test('T53: naming the new identifiers counts half, and with the new messages as much as code', () => {
    const names = 'Compute folded_value first; a ValueError where is_token_name fails.';
    expect(leakOf(names, patch)).toMatchObject({ score: 0.5, lines: 0, identifiers: 1, code: 0 });
    expect(leakOf(`${names} It says bad header name: {name!r}.`, patch).score).toBe(1);
  });

  test('a line quoted as a code span counts', () => {
    expect(leakOf('Add `if not is_token_name(name):` there.', patch).lines).toBe(0.25);
  });

  test('code taken over in the middle of a sentence counts, wherever its lines break', () => {
    const text =
      "Set folded_value = value.replace('\\r\\n ', ' ') if\nnot is_token_name(name) holds.";
    const leak = leakOf(text, patch);
    expect(leak.lines).toBe(0);
    expect(leak.code).toBeGreaterThan(0.4);
    expect(leak.code).toBeLessThan(1);
  });

  test('what stands in the code as it was is no leak: a text may need it', () => {
    const text = 'Values go wrong in:\n\n    if not is_token_name(name):\n\nfor some names.';
    expect(leakOf(text, patch).score).toBeGreaterThan(0.2);
    const before = 'def check(name):\n    if not is_token_name(name):\n        return False\n';
    expect(leakOf(text, patch, before)).toMatchObject({ score: 0, given: [] });
    // Nor is a line that the patch only moves.
    const moved =
      '--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-run(all_jobs, now)\n a = 1\n+run(all_jobs, now)\n';
    expect(leakOf('It fails at `run(all_jobs, now)`.', moved).score).toBe(0);
  });

  test.each([
    ['See lines 10-12.', 1],
    ['See line 11 of the file.', 1],
    ['It is in headers.py:11.', 1],
    ['https://example.org/x.py#L11', 1],
    ['See line 200.', 0],
    ['It happens with 11 headers, 10 lines each.', 0],
    ['  File "http/headers.py", line 11, in parse_header', 0],
  ])('%s gives the place away: %d', (text, positions) => {
    expect(leakOf(text, patch)).toMatchObject({ positions, score: positions / 2 });
  });

  test('an empty text or a patch without lines leaks nothing', () => {
    expect(leakOf('', patch).score).toBe(0);
    expect(leakOf('anything at all', '').score).toBe(0);
  });

  test('stays fast on a long patch of one repeated word, and on long code before it', () => {
    const lines = Array.from({ length: 5000 }, () => `+${'a_b '.repeat(10)}`).join('\n');
    const long = `--- a/x\n+++ b/x\n@@ -0,0 +1,5000 @@\n${lines}\n`;
    const start = performance.now();
    expect(leakOf('a_b '.repeat(10), long).score).toBe(1);
    leakOf('a_b '.repeat(10), long, "x = 'text'\n".repeat(10_000));
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
