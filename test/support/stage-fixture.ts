/** The real activities over a real store, with a teacher, sandboxes and an extractor that do what the test says. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createMainActivities,
  createRolloutActivities,
} from '../../activities/create-activities.ts';
import type { BatchConfigInput } from '../../domain/config.ts';
import type {
  CallId,
  CompletionRequest,
  ExtractedPatch,
  PreparedSandbox,
  Sandbox,
  SandboxSpec,
} from '../../domain/ports.ts';
import { createPatchJudge } from '../../repository/patch-judge.ts';
import { writeSnapshot } from '../../repository/snapshot.ts';
import { createSnapshotFiles } from '../../repository/snapshot-files.ts';
import { sha256 } from '../../store/blobs.ts';
import { openStore } from '../../store/open.ts';
import { asFiles, sourceFile } from '../repository/git-fixture.ts';
import { type ScriptedReply, submit, toCompletion } from './agent-script.ts';
import { toBatch, toSamples } from './batch-fixture.ts';
import { createMemorySandbox } from './memory-sandbox.ts';

export const BATCH = 'headers';
export const PATCH = `diff --git a/http/headers.py b/http/headers.py
--- a/http/headers.py
+++ b/http/headers.py
@@ -1,2 +1,3 @@
 def parse_1(line):
-    return line.split(':')
+    name, value = line.split(':', 1)
+    return name.strip(), value.strip()
`;

type Reply = (
  call: CallId,
  request: CompletionRequest,
) => ScriptedReply | Error | Promise<ScriptedReply | Error>;

export async function createStages(config: Partial<BatchConfigInput> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-stages-'));
  const store = await openStore(folder);
  const batch = toBatch(BATCH, store.id, config);
  const source = sourceFile('http/headers.py', "def parse_1(line):\n    return line.split(':')\n");
  const tree = writeSnapshot(asFiles([source])) as AsyncIterable<Uint8Array>;
  const snapshot = await store.blobs.putStream(tree);
  const samples = toSamples(4).map((sample) => ({ ...sample, snapshot }));
  await store.batches.put(batch);
  await store.batches.append(BATCH, samples);

  const open = new Set<string>();
  const world = {
    calls: [] as CallId[],
    requests: [] as CompletionRequest[],
    reply: (() => submit) as Reply,
    extracted: { kind: 'patch', text: PATCH, facts: [] } as ExtractedPatch,
    warnings: [] as string[],
    /** Around each sandbox that is started. */
    sandbox: (sandbox: Sandbox) => sandbox,
    /** Sandboxes that were not removed, and by rollout. */
    open,
    running: new Map<string, PreparedSandbox>(),
    /** Whether a saved tree can be restored. */
    restores: true,
    /** By default nothing is saved before a teacher fails. */
    saving: { everySteps: 1000, everyMs: 3_600_000, maxBytes: 1_000_000 },
  };
  const snapshots = createSnapshotFiles((ref) => store.blobs.stream(ref));
  const deps = {
    store,
    hash: sha256,
    teacherFor: async () => ({
      async complete(request: CompletionRequest, call: CallId) {
        world.calls.push(call);
        world.requests.push(request);
        const reply = await world.reply(call, request);
        if (reply instanceof Error) throw reply;
        return toCompletion(reply, call.step);
      },
    }),
    waitingFor: () => undefined,
    snapshots,
    judgePatch: createPatchJudge(snapshots),
    saving: world.saving,
    closedSamples: async () => [],
    images: {
      prepare: async () => ({ imageId: 'sha256:image', warnings: world.warnings }),
      obtain: async () => {},
    },
    sandboxes: {
      async start({ labels: { rollout } }: SandboxSpec) {
        const container = `container-${open.size}`;
        open.add(container);
        const memory = createMemorySandbox();
        const inner = world.sandbox(memory);
        const sandbox: PreparedSandbox = {
          ...inner,
          ref: { engine: 'e', container, imageId: 'sha256:image' },
          async extractPatch() {
            await inner.stop();
            return world.extracted;
          },
          // So long that the next step comes too soon to save again.
          saveTree: () => sleep(20, Buffer.from(JSON.stringify(memory.ran))),
          async restoreTree(tree) {
            memory.ran.push(...(JSON.parse(Buffer.from(tree).toString()) as string[]));
            return world.restores;
          },
          usage: () => undefined,
          leave: () => undefined,
          async close() {
            open.delete(container);
            world.running.delete(rollout);
            await inner.close();
          },
        };
        world.running.set(rollout, sandbox);
        return sandbox;
      },
      find: async (rollout: string) => world.running.get(rollout),
    },
  };
  const of = (index: number) => ({
    batchId: BATCH,
    sampleKey: samples[index]?.key ?? '',
    generation: 1,
  });
  return {
    store,
    batch,
    world,
    of,
    rolloutOf: (index: number) => ({
      ...of(index),
      rollout: 1 as const,
      attempt: 1,
      imageId: 'sha256:image',
    }),
    ...createMainActivities(deps),
    ...createRolloutActivities(deps),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export type Stages = Awaited<ReturnType<typeof createStages>>;
