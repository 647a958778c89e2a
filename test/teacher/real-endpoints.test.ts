/** Rollouts over a gateway that no one here wrote, from PyPI, in front of the scripted teacher; installed and started only when asked. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { runRollout } from '../../agent/loop.ts';
import { installPython, peerFolder } from '../../bench/peers/python.ts';
import { batchConfigSchema } from '../../domain/config.ts';
import { promptsOf, render } from '../../domain/prompts.ts';
import { createTeacher } from '../../teacher/client.ts';
import { startScriptedTeacher } from '../../teacher/scripted/server.ts';
import { createAgentSandbox, PATCH_COMMAND } from '../support/agent-sandbox.ts';
import { freePort } from '../support/free-port.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';
import { startServer } from '../support/python-server.ts';

const VARIABLE = 'TWINPATCH_REAL_ENDPOINTS';
const isAsked = process.env[VARIABLE] === '1';
if (!isAsked)
  process.stderr.write(`real endpoints are left out: set ${VARIABLE}=1 to install them\n`);

const GATEWAY = ['litellm[proxy]==1.106.2'];
const PYTHON =
  'def parse(line):\n    name, _, value = line.partition(":")\n    return name, value\n';

it.runIf(isAsked)(
  `a rollout through the gateway of litellm is the one without it (${VARIABLE}=1)`,
  { timeout: 900_000 },
  async () => {
    const { signal } = new AbortController();
    const python = await installPython(
      peerFolder('litellm-proxy'),
      GATEWAY,
      () => undefined,
      signal,
    );
    const scripted = await startScriptedTeacher({
      seed: 7,
      latencyMs: 0,
      faultRate: 0.2,
      policies: { reproduce: 1 },
    });
    onTestFinished(() => scripted.close());
    const folder = await mkdtemp(join(tmpdir(), 'twinpatch-gateway-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const config = join(folder, 'config.yaml');
    const model = {
      model_name: 'gateway-model',
      litellm_params: { model: 'openai/scripted', api_base: scripted.baseUrl, api_key: 'none' },
    };
    // YAML is a superset of JSON. What fails is ours to ask again.
    await writeFile(
      config,
      JSON.stringify({
        model_list: [model],
        router_settings: { num_retries: 0, disable_cooldowns: true },
      }),
    );
    const port = await freePort();
    const address = `http://127.0.0.1:${port}`;
    await startServer(
      join(dirname(python), 'litellm'),
      ['--config', config, '--host', '127.0.0.1', '--port', `${port}`],
      {
        address: `${address}/health/liveliness`,
        env: { LITELLM_LOCAL_MODEL_COST_MAP: 'True', DISABLE_ADMIN_UI: 'True' },
      },
    );
    const [plain, through] = [
      await playRollout(scripted.baseUrl, 'scripted'),
      await playRollout(`${address}/v1`, 'gateway-model'),
    ];
    expect(through).toEqual(plain);
    expect(through.status).toBe('submitted');
    expect(through.patch).toContain('http/headers.py');
  },
);

/** What a rollout says and changes. */
async function playRollout(baseUrl: string, model: string) {
  const {
    teacher: config,
    rollout,
    prompts,
  } = batchConfigSchema.parse({
    name: 'b',
    teacher: { endpoints: [{ baseUrl, model }] },
  });
  const teacher = createTeacher(config, { apiKey: async () => undefined });
  const sandbox = await createAgentSandbox({ 'http/headers.py': PYTHON });
  const journal = createMemoryJournal();
  const texts = promptsOf(prompts);
  const statement = 'Something is off around `parse` in `http/headers.py`.';
  const plan = {
    rolloutId: 'b/000000-abcdef/rollout-1.1',
    systemPrompt: render(texts.system, {}),
    taskPrompt: render(texts.task, { repository: '/testbed', statement }),
    review: texts.review,
    limits: rollout,
    callsPerTurn: 'one' as const,
  };
  try {
    const { status } = await runRollout(
      plan,
      { teacher, sandbox, journal },
      new AbortController().signal,
    );
    const { output: patch } = await sandbox.run(PATCH_COMMAND);
    const said = journal.entries.flatMap((entry) =>
      entry.kind === 'reply' ? [entry.reply.message] : [],
    );
    return { status, patch, said };
  } finally {
    await teacher.close();
    await sandbox.close();
  }
}
