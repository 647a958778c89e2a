/** The demonstration from set-up to rows. */

import { resolve } from 'node:path';
import { ensureBaseImage } from '../scripts/base-image.mjs';
import { ensureDockerEngine } from '../scripts/docker-engine.mjs';
import type { Counts } from '../domain/sample.ts';
import { openStore } from '../store/open.ts';
import { demoConfig, type DemoOptions } from './demo-config.ts';
import { exportBatches } from './export-batch.ts';
import { sourceCacheFolder } from './cache-folder.ts';
import { ingest } from './ingest.ts';
import { checkGround } from './launch.ts';
import type { Io } from './output.ts';
import { printYield } from './print-yield.ts';
import { exitCodeOf, runBatch, uiOf } from './run-batch.ts';
import { findEmbeddedServer } from './server.ts';
import { defaultStore, workspaceOf } from './workspace.ts';
import { ACCEPTED_RECALL, samplesWithEnds } from './yield.ts';

export interface DemoSummary extends Counts {
  batch: string;
  /** Rows of both files. */
  rows: number;
  /** Folder of the rows. */
  dataset: string;
  seconds: number;
}

export interface DemoRun extends DemoOptions {
  store?: string | undefined;
  port?: number | undefined;
  slots?: number | undefined;
  json?: boolean | undefined;
}

/** Returns the summary and what to look at next; undefined when the user turned away from it. */
export async function runDemo(
  io: Io,
  options: DemoRun,
  notify: (line: string) => void,
): Promise<{ summary: DemoSummary; next: string[] } | undefined> {
  const startedAt = performance.now();
  notify(
    'DEMO: the teacher is scripted. No model is called; the rows are simulated and must not be used for training.',
  );
  const workspace = workspaceOf(options.store ?? defaultStore(io.cwd, io.env));
  const config = demoConfig(options, workspace.store, io.cwd);
  const store = await openStore(workspace.store);
  const cacheDir = sourceCacheFolder(io.env);
  const begun = (await store.batches.get(config.name))?.config.targets.samples ?? 0;
  if (begun > options.samples) {
    notify(`${config.name} has ${begun} samples already: a batch only grows, all of them stay`);
  }
  const samples = Math.max(begun, options.samples);
  await ensureDockerEngine(notify);
  const beforeChange = () => checkGround(workspace, options);
  const { batch } = await ingest({
    config,
    store,
    cacheDir,
    samples,
    onProgress: notify,
    beforeChange,
  });
  await ensureBaseImage(notify);
  const state = await runBatch(io, { store, workspace }, batch, options);
  if (state === undefined) return undefined;

  const dataset = resolve(io.cwd, 'out', batch.id);
  const { manifest } = await exportBatches(store, [batch], dataset, {
    minRecall: ACCEPTED_RECALL,
    recallMode: 'exact',
  });
  // With --json the table goes beside the progress: stdout's last line is the summary.
  await printYield(options.json ? { ...io, stdout: io.stderr } : io, store, batch, state);
  process.exitCode = exitCodeOf(state);
  const { planned, verified, accepted, unverifiable, held, infrastructure } = state;
  const rows = manifest.t1.rows + manifest.t2.rows;
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  const server = findEmbeddedServer(workspace.state);
  return {
    summary: {
      batch: batch.id,
      planned,
      verified,
      accepted,
      unverifiable,
      held,
      infrastructure,
      rows,
      dataset,
      seconds,
    },
    next: [
      `done in ${seconds} s: ${rows} rows in ${dataset}, simulated`,
      '',
      'next:',
      `  npx twinpatch show ${batch.id}/${await worthShowing()}   one sample, whole`,
      `  npx twinpatch status ${batch.id}`,
      `  npx twinpatch export ${batch.id} --min-recall 1 --out ${dataset}-strict`,
      '  npx twinpatch init PATH      your own repository and teacher',
      '  npx twinpatch down           stop the server and the worker',
      ...(server?.ui === undefined ? [] : [`  Temporal UI  ${uiOf({ server }, batch)}`]),
    ],
  };

  /** A verified sample where there is one: it has everything to show. */
  async function worthShowing(): Promise<string> {
    let first = '';
    for await (const { sample, end } of samplesWithEnds(store, batch.id)) {
      if (end?.verdict.kind === 'verified') return sample.key;
      if (end !== undefined) first ||= sample.key;
    }
    return first;
  }
}
