import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cacheFolder } from './cache.mjs';
import { run } from './command.mjs';

/**
 * `npm run verify:trainers -- [NAME…] [--keep]`: gives the exports of `test/trainers/make-inputs.ts` to real trainers, and writes
 * what they make of them to `test/fixtures/trainers/NAME.json`, which `npm test` holds our output against. Each trainer has a
 * virtual environment of its own, several GB where it needs torch, which is removed afterwards but with --keep.
 */
const TRAINERS = ['datasets', 'transformers', 'trl', 'axolotl', 'llamafactory'];
const INSTALL_MS = 2 * 60 * 60_000;
const VERIFY_MS = 30 * 60_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { keep: { type: 'boolean', default: false } },
});
const unknown = positionals.find((name) => !TRAINERS.includes(name));
if (unknown !== undefined) {
  console.error(`${unknown} is no trainer we verify with: name some of ${TRAINERS.join(', ')}`);
  process.exit(2);
}
const home = join(cacheFolder(), 'trainers');
const inputs = join(home, 'inputs');
rmSync(inputs, { recursive: true, force: true });
await run(
  process.execPath,
  ['--import', 'tsx', join(root, 'test/trainers/make-inputs.ts'), inputs],
  { timeoutMs: VERIFY_MS, cwd: root },
);
for (const name of positionals.length > 0 ? positionals : TRAINERS) {
  const python = await install(name);
  console.log(`${name}: verifying`);
  const output = join(root, 'test/fixtures/trainers', `${name}.json`);
  mkdirSync(join(root, 'test/fixtures/trainers'), { recursive: true });
  await run(python, [join(root, 'test/trainers', name, 'verify.py'), inputs, output], {
    timeoutMs: VERIFY_MS,
    cwd: inputs,
    // Everything is here: a trainer that asks a hub for something would wait for it.
    env: {
      HF_HUB_OFFLINE: '1',
      HF_HOME: join(inputs, 'hub'),
      PYTHONPATH: join(root, 'test/trainers/shared'),
      PYTHONWARNINGS: 'ignore',
    },
  });
  console.log(`${name}: ${output}`);
  if (!values.keep) rmSync(join(home, name), { recursive: true });
}

/**
 * The Python of the trainer's environment, made where it is not there as required.
 * @param {string} name
 * @returns {Promise<string>}
 */
async function install(name) {
  const environment = join(home, name);
  const requirements = join(root, 'test/trainers', name, 'requirements.txt');
  // Trainers that ask for tens of packages which preparing rows does not need.
  const alone = join(root, 'test/trainers', name, 'without-dependencies.txt');
  const python = join(environment, 'bin/python');
  const made = join(environment, 'made-of.txt');
  const wanted = [requirements, alone]
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'utf8'))
    .join('');
  if (existsSync(made) && readFileSync(made, 'utf8') === wanted) return python;
  console.log(`${name}: making ${environment}`);
  rmSync(environment, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', environment], { timeoutMs: INSTALL_MS });
  const pip = ['-m', 'pip', 'install', '--no-compile'];
  await run(python, [...pip, '-r', requirements], { timeoutMs: INSTALL_MS });
  if (existsSync(alone))
    await run(python, [...pip, '--no-deps', '-r', alone], { timeoutMs: INSTALL_MS });
  writeFileSync(made, wanted);
  return python;
}
