/** Sandboxes whose commands really run once; the same rollout in another batch is told what came of them, and may ask nothing else. */

import type { PreparedSandbox, Sandbox } from '../../domain/ports.ts';
import { createAgentSandbox, PATCH_COMMAND } from './agent-sandbox.ts';

/** By rollout: what was asked, and what came of it, in order. */
export type Recording = Map<string, { asked: string; result: unknown }[]>;

/** A sandbox that records what happens in it. */
export async function recordSandbox(
  recording: Recording,
  rollout: string,
  files: Record<string, string>,
): Promise<PreparedSandbox> {
  const sandbox = await createAgentSandbox(files);
  const entries: { asked: string; result: unknown }[] = [];
  recording.set(rollout, entries);
  return toSandbox(sandbox, async (asked, run) => {
    const result = await run();
    entries.push({ asked, result });
    return result;
  });
}

/** Throws where something else is asked than what was recorded. */
export async function replaySandbox(
  recording: Recording,
  rollout: string,
): Promise<PreparedSandbox> {
  let next = 0;
  const nowhere: Sandbox = {
    ref: { engine: 'none', container: rollout, imageId: 'none' },
    ...nothing,
  };
  return toSandbox(nowhere, async (asked) => {
    const entry = recording.get(rollout)?.[next];
    next += 1;
    if (entry?.asked !== asked) {
      throw new Error(`${rollout}: ${asked} where ${entry?.asked ?? 'nothing'} was recorded`);
    }
    return entry.result;
  });
}

// --- internal ---

const never = () => Promise.reject(new Error('nothing runs here'));
const nothing = {
  run: never,
  readFile: never,
  writeFile: never,
  list: never,
  stop: async () => {},
  close: async () => {},
};

function toSandbox(
  sandbox: Sandbox,
  through: (asked: string, run: () => Promise<unknown>) => Promise<unknown>,
): PreparedSandbox {
  // Ids of commands count the steps, of which a disturbed rollout may have more.
  const ask = <T>(run: () => Promise<T>, ...asked: unknown[]) =>
    through(JSON.stringify(asked), run) as Promise<T>;
  return {
    ...sandbox,
    ref: { ...sandbox.ref, imageId: 'sha256:image' },
    run: (request, signal) => ask(() => sandbox.run(request, signal), 'run', request.command),
    readFile: (path, maxBytes) => ask(() => sandbox.readFile(path, maxBytes), 'read', path),
    writeFile: (path, bytes) =>
      ask(() => sandbox.writeFile(path, bytes), 'write', path, Buffer.from(bytes).toString()),
    list: (path, depth) => ask(() => sandbox.list(path, depth), 'list', path, depth),
    async extractPatch() {
      const { output } = await ask(() => sandbox.run(PATCH_COMMAND), 'patch');
      return output === '' ? { kind: 'empty' } : { kind: 'patch', text: output, facts: [] };
    },
    saveTree: async () => undefined,
    restoreTree: async () => false,
    usage: () => undefined,
    leave: () => undefined,
  };
}
