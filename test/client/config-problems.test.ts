import { describe, expect, it } from 'vitest';
import { GOOD, openConfigFolder } from '../support/config-folder.ts';

const { problemsOf } = await openConfigFolder();

describe('a bad twinpatch.yaml is refused with place, key and reason', () => {
  it.each([
    // Text that is no YAML.
    ['name: a\nname: b\n', 'twinpatch.yaml:2:1  name: the key is given twice; keep one'],
    [
      `${GOOD}rollout:\n  maxSteps: 1\n  "maxSteps": 2\n`,
      'twinpatch.yaml:5:3  maxSteps: the key is given twice; keep one',
    ],
    ['teacher:\n\tscripted: {}\n', 'twinpatch.yaml:2:1  tabs cannot indent YAML; use spaces'],
    ['name: "a\n', 'twinpatch.yaml:2:1  not YAML: Missing closing "quote'],
    [
      'name: a\n---\nname: b\n',
      'twinpatch.yaml:2:1  a second document begins here (`---`); keep one',
    ],
    ['name: !secret x\n', 'twinpatch.yaml:1:7  not YAML: Unresolved tag: !secret'],
    ['? [a]\n: b\n', 'twinpatch.yaml:1:3  a key must be plain text'],
    [
      'name: *who\n',
      "twinpatch.yaml:1:1  its aliases can't be resolved: Unresolved alias (the anchor must be set before the alias): who",
    ],
    [
      'a: &a [x,x,x,x,x,x,x,x,x]\n' +
        'b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n',
      "twinpatch.yaml:1:1  its aliases can't be resolved: Excessive alias count indicates a resource exhaustion attack",
    ],
    ['', 'twinpatch.yaml:1:1  the file is empty; `twinpatch init --force` writes a complete one'],
    [
      '- name: a\n',
      'twinpatch.yaml:1:1  expected keys and values; `twinpatch init --force` writes a complete one',
    ],
    // Keys.
    [
      'nmae: a\nteacher: { scripted: {} }\n',
      'twinpatch.yaml:1:1  name: is required\ntwinpatch.yaml:1:1  nmae: unknown key; did you mean `name`?',
    ],
    [
      `${GOOD}rollout:\n  maxStep: 3\n`,
      'twinpatch.yaml:4:3  rollout.maxStep: unknown key; did you mean `maxSteps`?',
    ],
    [
      `${GOOD}rollout: { max_steps: 3 }\n`,
      'twinpatch.yaml:3:12  rollout.max_steps: unknown key; did you mean `maxSteps`?',
    ],
    [
      `${GOOD}maxSteps: 3\n`,
      'twinpatch.yaml:3:1  maxSteps: unknown key here; did you mean `rollout.maxSteps`?',
    ],
    [
      `${GOOD}environment:\n  baseUrl: x\n`,
      'twinpatch.yaml:4:3  environment.baseUrl: unknown key here; did you mean `teacher.endpoints[].baseUrl`?',
    ],
    [
      'name: a\nteacher:\n  endpoints: [{ baseUrl: http://127.0.0.1:1/v1, model: m, apikey: A }]\n',
      'twinpatch.yaml:3:59  teacher.endpoints.0.apikey: unknown key; did you mean `apiKeyEnv`?',
    ],
    [
      `${GOOD}budget:\n  quux: 1\n`,
      'twinpatch.yaml:4:3  budget.quux: unknown key; known here: `maxCostUsd`, `maxTokens`, `maxHours`',
    ],
    [
      'name: a\nteacher:\n  scripted: { policies: { reproduces: 1 } }\n',
      'twinpatch.yaml:3:27  teacher.scripted.policies.reproduces: unknown key; did you mean `reproduce`?',
    ],
    [
      'name: a\nteacher:\n  scripted: { policies: { reproduce: 0, partial: 0 } }\n',
      'twinpatch.yaml:3:25  teacher.scripted.policies: gives no behaviour a weight above 0; give one',
    ],
    [
      `${GOOD}__proto__: { x: 1 }\n`,
      'twinpatch.yaml:3:1  __proto__: unknown key; known here: `name`, `repository`, `environment`, `targets`, `teacher`, `rollout`, `prompts`, `verification`, `budget`, `store`',
    ],
    // Values.
    ['name: a\n', 'twinpatch.yaml:1:1  teacher: is required'],
    [
      'name: A b\nteacher: { scripted: {} }\n',
      'twinpatch.yaml:1:7  name: expected lower-case letters, digits, dots, dashes and underscores, at most 64',
    ],
    [`${GOOD}targets:\n`, 'twinpatch.yaml:3:1  targets: has no value; give one or remove the key'],
    [`${GOOD}targets: 200\n`, 'twinpatch.yaml:3:10  targets: expected keys and values, found 200'],
    [
      `${GOOD}targets: { samples: many }\n`,
      'twinpatch.yaml:3:21  targets.samples: expected a number, found "many"',
    ],
    [
      `${GOOD}targets: { samples: 1.5 }\n`,
      'twinpatch.yaml:3:21  targets.samples: expected a whole number, found 1.5',
    ],
    [
      `${GOOD}targets: { samples: 0 }\n`,
      'twinpatch.yaml:3:21  targets.samples: must be greater than 0, found 0',
    ],
    [
      `${GOOD}environment: { maxProcesses: 3 }\n`,
      'twinpatch.yaml:3:30  environment.maxProcesses: must be at least 16, found 3',
    ],
    [
      `${GOOD}environment: { memory: 2 gigs }\n`,
      'twinpatch.yaml:3:24  environment.memory: expected a number and a unit (B, KiB, MiB, GiB, KB, MB, GB), like 2GiB',
    ],
    [
      `${GOOD}environment: { memory: 1KiB }\n`,
      'twinpatch.yaml:3:24  environment.memory: expected at least 32MiB',
    ],
    [
      `${GOOD}rollout: { commandTimeout: 0s }\n`,
      'twinpatch.yaml:3:28  rollout.commandTimeout: expected more than 0',
    ],
    [
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m }] }\nbudget: { maxCostUsd: 3 }\n',
      'twinpatch.yaml:3:23  budget.maxCostUsd: needs `teacher.price`: without prices no cost is known',
    ],
    [
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m }] }\nrollout: { maxCostUsd: 3 }\n',
      'twinpatch.yaml:3:24  rollout.maxCostUsd: needs `teacher.price`: without prices no cost is known',
    ],
    [
      `${GOOD}targets: { samples: 99999999999 }\n`,
      'twinpatch.yaml:3:21  targets.samples: must be at most 1000000, found 99999999999',
    ],
    [
      `${GOOD}prompts: { selfCheck: "{{ instruction }} {{ steps }} Yes or no?" }\n`,
      'twinpatch.yaml:3:23  prompts.selfCheck: must ask for the answer in <verdict>…</verdict>: it is read nowhere else',
    ],
    [
      `${GOOD}prompts: { syntheticPr: "{{ demonstration }} {{ steps }}" }\n`,
      'twinpatch.yaml:3:25  prompts.syntheticPr: must ask for the answer in <pull_request>…</pull_request>: it is read nowhere else',
    ],
    [
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m, modelId: m }, { baseUrl: "http://h/v1", model: n }] }\n',
      'twinpatch.yaml:2:74  teacher.endpoints.1.modelId: is needed, because the endpoints know different names: the same one where they serve the same model, another one where not',
    ],
    [
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m }, { baseUrl: "http://h/v1", model: m, topP: 0.5 }] }\n',
      'twinpatch.yaml:2:104  teacher.endpoints.1.topP: differs from another endpoint of m; give them the same one',
    ],
    [
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m, headers: { Authorization: x } }] }\n',
      'twinpatch.yaml:2:71  teacher.endpoints.0.headers.Authorization: holds a key; give that by `apiKeyEnv` or `apiKeyFile`, and its header by `keyHeader`',
    ],
    [
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m, body: { messages: [] } }] }\n',
      'twinpatch.yaml:2:68  teacher.endpoints.0.body.messages: is set by twinpatch itself',
    ],
    [
      `${GOOD}rollout: { commandTimeout: 300 }\n`,
      'twinpatch.yaml:3:28  rollout.commandTimeout: expected a number and a unit (ms, s, m, h), like 300s',
    ],
    [
      `${GOOD}rollout: { commandTimeout: 1000h }\n`,
      'twinpatch.yaml:3:28  rollout.commandTimeout: expected at most 500h',
    ],
    [
      `${GOOD}rollout: { callsPerTurn: severl }\n`,
      'twinpatch.yaml:3:26  rollout.callsPerTurn: expected one of `one`, `several`, found "severl"; did you mean `several`?',
    ],
    [
      `${GOOD}rollout: { profile: hermes }\n`,
      'twinpatch.yaml:3:21  rollout.profile: expected `swe-agent`, found "hermes"',
    ],
    [
      `${GOOD}verification: { maxLeak: 2 }\n`,
      'twinpatch.yaml:3:26  verification.maxLeak: must be at most 1, found 2',
    ],
    [
      `${GOOD}repository: { commits: [] }\n`,
      'twinpatch.yaml:3:24  repository.commits: must have at least one entry',
    ],
    [
      `${GOOD}repository: { commits: [main, main] }\n`,
      'twinpatch.yaml:3:24  repository.commits: names a commit twice',
    ],
    [
      `${GOOD}repository: { commits: HEAD }\n`,
      'twinpatch.yaml:3:24  repository.commits: expected a list, found "HEAD"',
    ],
    [
      `${GOOD}repository: { source: "" }\n`,
      'twinpatch.yaml:3:23  repository.source: must not be empty',
    ],
    [
      `${GOOD}repository: { include: ["src/{a"] }\n`,
      'twinpatch.yaml:3:25  repository.include.0: the braces of the glob "src/{a" don\'t match',
    ],
    [
      'name: a\nteacher: {}\n',
      'twinpatch.yaml:2:10  teacher: give either `endpoints` or `scripted`',
    ],
    [
      'name: a\nteacher:\n  endpoints:\n    - model: m\n      baseUrl: 127.0.0.1:8000\n',
      'twinpatch.yaml:5:16  teacher.endpoints.0.baseUrl: expected an http:// or https:// address',
    ],
    [
      'name: a\nteacher:\n  endpoints:\n    - baseUrl: http://h/v1\n',
      'twinpatch.yaml:4:7  teacher.endpoints.0.model: is required',
    ],
    [
      'name: a\nteacher:\n  endpoints:\n    - { model: m, baseUrl: "http://h/v1", apiKeyEnv: sk-123 }\n',
      'twinpatch.yaml:4:54  teacher.endpoints.0.apiKeyEnv: expected the name of an environment variable, never the key itself',
    ],
    // Texts.
    [
      `${GOOD}prompts:\n  instructions:\n    add:\n      A_b: x\n`,
      'twinpatch.yaml:6:7  prompts.instructions.add.A_b: expected an id of lower-case letters, digits and dashes',
    ],
    [
      `${GOOD}prompts:\n  instructions:\n    add:\n      mine: look at {{ fonction }}\n`,
      'twinpatch.yaml:6:13  prompts.instructions.add.mine: unknown variable `{{ fonction }}`; known: `{{ function }}`, `{{ file }}`',
    ],
    [
      `${GOOD}prompts:\n  task: go\n`,
      'twinpatch.yaml:4:9  prompts.task: the text must use `{{ repository }}`',
    ],
    [
      `${GOOD}prompts: { demonstrations: { replace: true } }\n`,
      'twinpatch.yaml:3:28  prompts.demonstrations: `replace` is set and `add` is empty, so no example is left; add at least one text',
    ],
    [
      `${GOOD}prompts: { instructions: { replace: true, add: { a: "{{ function }} {{ file }}" } } }\n`,
      'twinpatch.yaml:3:26  prompts.instructions: a sample needs 3 different ones, and there are 1; add more or set `replace: false`',
    ],
  ])('%j', async (text, expected) => {
    expect(await problemsOf(text)).toBe(expected);
  });

  it('lists every problem at once', async () => {
    const text =
      'name: A\ntargets: { samples: 0, sed: 1 }\nrollout: { maxSteps: x }\nteacher: { scripted: {} }\n';
    expect((await problemsOf(text)).split('\n')).toHaveLength(4);
  });

  it.each([
    [
      'bytes that are no UTF-8',
      Buffer.from('name: \xff', 'latin1'),
      "twinpatch.yaml can't be read — it is not UTF-8",
    ],
    [
      'more than a megabyte',
      `# ${'x'.repeat(1024 ** 2)}\n`,
      'twinpatch.yaml is no configuration — it is larger than 1 MiB',
    ],
  ])('%s', async (_, bytes, expected) => {
    expect(await problemsOf(bytes)).toBe(expected);
  });

  it('nested beyond any purpose', async () => {
    expect(await problemsOf(`name: ${'['.repeat(100_000)}`)).toContain('twinpatch.yaml');
  });
});
