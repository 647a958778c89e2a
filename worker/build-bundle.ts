/** Builds the workflow bundle ahead of time, so that a worker starts without a bundler. */

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

/** The workflow code as one script. Fails when a workflow reaches for a Node builtin. */
export async function bundleWorkflows(): Promise<string> {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL(`../workflows/index${extension}`, import.meta.url)),
    logger: {
      log() {},
      trace() {},
      debug() {},
      info() {},
      warn: console.error,
      error: console.error,
    },
  });
  return code;
}

/** Writes the bundle for the package: its source map names no folder of the machine that built it. */
export async function buildBundle(file: string): Promise<void> {
  const code = await bundleWorkflows();
  const root = fileURLToPath(new URL('../..', import.meta.url));
  await writeFile(
    file,
    code.replace(INLINE_MAP, (_map, encoded: string) => {
      const map = Buffer.from(encoded, 'base64').toString('utf8').replaceAll(root, '');
      return `base64,${Buffer.from(map).toString('base64')}`;
    }),
  );
}

// --- internal ---

const INLINE_MAP =
  /(?<=sourceMappingURL=data:application\/json;charset=utf-8;)base64,([A-Za-z0-9+/=]+)/;
