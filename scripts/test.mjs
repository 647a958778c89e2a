import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'twinpatch-test-'));
const report = join(scratch, 'report.json');

const asked = process.argv.slice(2);
// Loops at full counts, for which `npm test` has no time.
if (asked.includes('--stress')) process.env['TWINPATCH_STRESS'] = '1';
const isReady = node('scripts/setup.mjs');
// Without them some tests are skipped or fail, each saying what it needs.
if (isReady) node('scripts/setup.mjs', 'test-tools');
const isGreen = isReady && vitest(asked.filter((option) => option !== '--stress'));
const { passed, failed, skipped } = counts();
rmSync(scratch, { recursive: true, force: true });
process.exitCode = isGreen && failed === 0 && passed > 0 ? 0 : 1;
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);

/**
 * @param {string[]} args what `npm test -- …` was given: files, or options of vitest
 * @returns {boolean} whether vitest found nothing wrong
 */
function vitest(args) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  return node('node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args);
}

/**
 * @param {string[]} args
 * @returns {boolean} whether it ended well
 */
function node(...args) {
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

/**
 * What the report counts; trouble that belongs to no test (set-up, a file that can't be loaded) counts as a failure.
 * @returns {{ passed: number, failed: number, skipped: number }}
 */
function counts() {
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  /** @type {{ status: string, assertionResults: unknown[] }[]} */
  const files = testResults;
  const broken = files.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const failed = numFailedTests + broken.length;
  return {
    passed: numPassedTests,
    failed: isGreen ? failed : Math.max(1, failed),
    skipped: numPendingTests + numTodoTests,
  };
}
