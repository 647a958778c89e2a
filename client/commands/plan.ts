/** `twinpatch plan`: what a batch would hold and take; nothing is spent, nothing is stored. */

import type { Command } from '@commander-js/extra-typings';
import type { BatchConfig } from '../../domain/config.ts';
import type { Sample } from '../../domain/sample.ts';
import type { Estimate } from '../estimate.ts';
import { collect, parseCount } from '../options.ts';
import { note, print, printJson, sanitizeLine, write, type Io } from '../output.ts';

export function registerPlan(program: Command, io: Io): void {
  program
    .command('plan')
    .summary('counts, tokens, time and cost of a batch; nothing is spent')
    .description(
      'Plans the batch of twinpatch.yaml and shows what it would hold, with an estimate of tokens, time and cost: from previews or other samples of the store where there are some. Nothing is spent or stored.',
    )
    .option('-n, --samples <count>', 'instead of targets.samples', parseCount)
    .option('--json', 'print one JSON object')
    .option('--config <file>', 'configuration, instead of the nearest twinpatch.yaml')
    .option('--set <key=value>', 'override a value of the configuration', collect, [])
    .addHelpText(
      'after',
      `
Examples:
  $ twinpatch plan
  $ twinpatch plan -n 1000
  $ twinpatch plan --set targets.minLines=8 --json

JSON: {name, repository, commits, functions: {found, eligible, reasons}, samples, rounds, directories, languages,
estimate: {rollouts, inputTokens, cachedInputTokens, outputTokens, costUsd, hours, accepted, basis}}; bands are [low,
high], costUsd is null without a price, accepted without samples that have ended before.`,
    )
    .action(async (options) => {
      const plan = await makePlan(options, io);
      if (options.json) return printJson(io, plan);
      await show(plan, io);
    });
}

// --- internal ---

/** The folders with the most samples; JSON has all. */
const SHOWN_FOLDERS = 20;
const SHOWN_HASH_CHARS = 17;

interface PlanOptions {
  samples?: number | undefined;
  config?: string | undefined;
  set: string[];
}

interface Plan {
  name: string;
  repository: string;
  commits: { name: string; commit: string }[];
  functions: { found: number; eligible: number; reasons: Record<string, number> };
  samples: number;
  /** How often the plan goes round the eligible functions. */
  rounds: number;
  directories: Record<string, number>;
  languages: Record<string, number>;
  estimate: Estimate;
}

async function makePlan(options: PlanOptions, io: Io): Promise<Plan> {
  const { loadConfig } = await import('../load-config.ts');
  const loaded = await loadConfig({ path: options.config, sets: options.set, cwd: io.cwd });
  const { planBatch, resolveCommits, withSamples } = await import('../ingest.ts');
  const config = withSamples(loaded.config, options.samples);
  const { openSource } = await import('../../repository/source.ts');
  const { guardSecrets } = await import('../../repository/secret-guard.ts');
  const { listFunctions } = await import('../../repository/functions.ts');
  const { countBy, folderOf, FunctionCounts } = await import('../function-counts.ts');
  const { sourceCacheFolder } = await import('../cache-folder.ts');
  const { estimate } = await import('../estimate.ts');
  const source = await openSource(config.repository.source, {
    cacheDir: sourceCacheFolder(io.env),
  });
  const guarded = guardSecrets(source, config.repository.secrets);
  const commits = await resolveCommits(source, config.repository.commits);
  const counts = new FunctionCounts();
  const eligible = new Set<string>();
  const planned = [];
  for (const { commit } of commits) {
    const functions = [];
    const targets = { ...config.repository, ...config.targets };
    for await (const found of listFunctions(guarded.files(commit), targets)) {
      counts.add(found);
      functions.push(found);
      if (found.eligible) eligible.add(JSON.stringify([found.file, found.name]));
    }
    planned.push({ commit, snapshot: 'sha256:' as const, functions });
  }
  const samples: Sample[] = planBatch(config, planned);
  return {
    name: config.name,
    repository: source.label,
    commits,
    functions: { found: counts.found, eligible: counts.eligible, reasons: counts.reasons },
    samples: samples.length,
    rounds: Math.ceil(samples.length / eligible.size),
    directories: countBy(samples, ({ target }) => folderOf(target.file)),
    languages: countBy(samples, ({ target }) => target.language),
    estimate: estimate(samples.length, config, await historyOf(config, source.label, io)),
  };
}

/** Undefined where there is no store, or none that answers. */
async function historyOf(config: BatchConfig, repository: string, io: Io) {
  const { StoreMissing, StoreUnavailable } = await import('../../domain/store.ts');
  const { openStore } = await import('../../store/open.ts');
  const { readHistory } = await import('../history.ts');
  try {
    const store = await openStore(config.store, { make: false });
    return await readHistory(store, config, repository);
  } catch (error) {
    if (error instanceof StoreMissing) return undefined;
    if (!(error instanceof StoreUnavailable)) throw error;
    await note(io, `${error.message}: the estimate is made without what it holds`);
    return undefined;
  }
}

async function show(plan: Plan, io: Io) {
  const { renderEstimate } = await import('../render-estimate.ts');
  const { renderTable } = await import('../table.ts');
  const view = { stream: io.stdout, env: io.env };
  const { functions, estimate } = plan;
  const reasons = Object.entries(functions.reasons).map(([reason, count]) => `${count} ${reason}`);
  const facts = [
    ['batch', plan.name],
    ['repository', plan.repository],
    [
      'commits',
      plan.commits
        .map(({ name, commit }) => `${name} (${commit.slice(0, SHOWN_HASH_CHARS)})`)
        .join(', '),
    ],
    ['functions', `${functions.found} found, ${functions.eligible} eligible`],
    ['left out', reasons.join(', ') || 'none'],
    ['samples', `${plan.samples} in ${plan.rounds} ${plan.rounds === 1 ? 'round' : 'rounds'}`],
  ];
  for (const [name = '', value = ''] of facts) {
    await print(io, `${name.padEnd(14)}${sanitizeLine(value)}`);
  }
  const directories = Object.entries(plan.directories).slice(0, SHOWN_FOLDERS);
  await write(io.stdout, `\n${renderTable(['folder', 'samples'], directories, view)}`);
  const languages = Object.entries(plan.languages);
  await write(io.stdout, `\n${renderTable(['language', 'samples'], languages, view)}`);
  await print(io, '\nEstimate, not a promise:');
  for (const line of renderEstimate(estimate)) await print(io, line);
  await note(io, '\nnext: twinpatch preview, or twinpatch run');
}
