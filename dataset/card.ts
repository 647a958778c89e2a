/** What stands beside the rows for people: the card of the data set, and how to serve a model that was trained on it. */

import type { Column } from './columns.ts';
import { renderFeatures } from './columns.ts';
import type { Format } from './formats/format.ts';
import type { BatchSummary, DatasetManifest, Split, ViewCounts } from './manifest.ts';
import { KINDS, type Kind } from './select.ts';
import { isJsonObject, type Json } from './text.ts';
import type { Example, Row } from './row.ts';

/** `README.md`, with the header that loaders and the hub read. */
export function renderCard(manifest: DatasetManifest, columns: Column[] | undefined): string {
  const { batches, simulated, format, fileType, t1, t2 } = manifest;
  const repositories = [...new Set(batches.map(({ repository }) => repository))];
  const title = `Coding-agent trajectories of ${repositories.join(', ')}`;
  const parts = [
    `---\n${renderHeader(manifest, columns, title)}---`,
    `# ${plain(title)}`,
    ...(simulated
      ? [
          '**SIMULATED**: the scripted teacher made these rows. They show the form and must not be used for training.',
        ]
      : []),
    `Made by twinpatch with Soft Verified Generation: a teacher changes a function in a sandbox after a vague instruction (T1), the
change becomes a pull-request text, and a second rollout must find the change again from that text alone (T2). A row is one whole
rollout; recall is the share of T1's changed lines that T2's patch contains.`,
    renderTable(
      ['rows', 'files', 'what'],
      [
        [t1.rows, namesOf(manifest, 't1'), 'T1: first rollouts whose change the teacher approved'],
        [t2.rows, namesOf(manifest, 't2'), 'T2: second rollouts, from the pull-request text'],
      ],
    ),
    `Format \`${format}\`, ${fileType === 'jsonl' ? 'JSON lines' : 'Parquet'}. \`manifest.json\` counts every row that is here and every one that is not; \`SERVING.md\` says how to serve a model trained on them.`,
    '## Where it comes from',
    renderTable(
      ['batch', 'repository', 'commits', 'licence', 'teachers', 'seed'],
      batches.map((batch) => [
        batch.id,
        batch.repository,
        batch.commits.map((commit) => commit.slice(0, 17)).join(' '),
        batch.licences.join('; '),
        batch.teachers.map(renderTeacher).join('; '),
        batch.seed,
      ]),
    ),
    'Every row has its own `recall` and `provenance`: commit, file, function, instruction, image, teacher, sampling, limits, versions, cost. The licence of the repositories holds for the code in the rows.',
    '## What it cost',
    renderCosts(manifest),
    '## What was left out',
    renderLosses(manifest),
    ...(manifest.views.length === 0 ? [] : [renderViews(manifest.views)]),
    ...(manifest.files.some(({ split }) => split === 'held-out')
      ? [
          'Rows of the held-out files share no function, no file and no near-duplicate with the others: use them to evaluate, and do not train on them.',
        ]
      : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** `SERVING.md`: a trained model meets the prompt and the tools it was trained with. */
export function renderServing(format: Format, example: Example): string {
  const { conversation } = example;
  const message = systemOf(format.render(example)) ?? conversation.system;
  return (
    [
      '# Serving a model trained on this data set',
      PARSERS[format.name] ?? '',
      'The system message, as the rows have it:',
      fenced(message, ''),
      'The tools:',
      fenced(JSON.stringify(conversation.tools, null, 2), 'json'),
      'After training, put the original `tokenizer_config.json` of the base model back where the trainer replaced it: another chat template at inference than in training is the most frequent cause of loops.',
    ].join('\n\n') + '\n'
  );
}

// --- internal ---

const PARSERS: Record<string, string> = {
  hermes:
    'Replies hold `<think>` and `<tool_call>` blocks in the Hermes form: vLLM reads them with `--enable-auto-tool-choice --tool-call-parser hermes`, SGLang with `--tool-call-parser qwen25`. The tools stand in the system message, so send no `tools` with the request if your chat template would print them a second time.',
  xml: "Replies hold `<function=…>` blocks, which SWE-agent reads with its `xml_function_calling` parser; serve without a tool-call parser. A thought stands in `<think>` at the reply's start.",
  openai:
    "Calls and thoughts were rendered by the base model's own chat template: serve with the tool-call parser and the reasoning parser of that family (Qwen3: `--tool-call-parser hermes --reasoning-parser qwen3`), and send the tools with each request.",
  sharegpt:
    "LLaMA-Factory rendered calls by the template it trained with: serve with that family's tool-call parser, and send the tools with each request.",
  atif: 'ATIF is an interchange format: what has to be served depends on what it is converted to.',
  raw: 'Raw messages are for conversions of your own: what has to be served depends on them.',
};

/** What the hub calls the splits. */
const HUB_SPLITS: Record<Split, string> = { train: 'train', 'held-out': 'test' };

function renderHeader(
  { batches, fileType, files }: DatasetManifest,
  columns: Column[] | undefined,
  title: string,
): string {
  const configs = KINDS.map((kind) => {
    const ofKind = files.filter((file) => file.kind === kind);
    const isSplit = ofKind.some(({ split }) => split === 'held-out');
    const lines = isSplit
      ? Object.entries(HUB_SPLITS).map(([split, name]) => {
          const paths = ofKind.filter((file) => file.split === split).map((file) => file.name);
          return `  - split: ${name}\n    path:\n${paths.map((path) => `    - ${JSON.stringify(path)}\n`).join('')}`;
        })
      : ofKind.map(({ name }) => `  - ${JSON.stringify(name)}\n`);
    return `- config_name: ${kind}\n  data_files:\n${lines.join('')}`;
  });
  const features =
    columns === undefined || fileType === 'jsonl'
      ? ''
      : `dataset_info:\n${KINDS.map((kind) => `- config_name: ${kind}\n  features:\n${renderFeatures(columns)}`).join('')}`;
  const models = [
    ...new Set(batches.flatMap(({ teachers }) => teachers.map(({ model }) => model))),
  ];
  return `pretty_name: ${JSON.stringify(title)}
tags:
- agent
- code
- twinpatch
${models.map((model) => `- ${JSON.stringify(`teacher:${model}`)}\n`).join('')}configs:
${configs.join('')}${features}`;
}

function namesOf({ files }: DatasetManifest, kind: Kind): string {
  const names = files.filter((file) => file.kind === kind).map(({ name }) => `\`${name}\``);
  return names.length > 2 ? `${names[0]} … ${names.at(-1)}` : names.join(', ');
}

function renderCosts({ batches, t1, t2 }: DatasetManifest): string {
  const rows = t1.rows + t2.rows;
  const total = batches.reduce<number | null>(
    (sum, { spent }) => (sum === null || spent.costUsd === null ? null : sum + spent.costUsd),
    0,
  );
  const table = renderTable(
    ['batch', 'calls', 'tokens in', 'of them cached', 'tokens out', 'USD'],
    batches.map(({ id, spent }) => [
      id,
      spent.calls,
      spent.inputTokens,
      spent.cachedInputTokens,
      spent.outputTokens,
      spent.costUsd === null ? 'unpriced' : spent.costUsd.toFixed(4),
    ]),
  );
  const each =
    total === null || rows === 0
      ? ''
      : ` Each of the ${rows} rows cost $${(total / rows).toFixed(4)}.`;
  return `${table}\n\nAll that was paid for the batches is counted, lost and rejected work included.${each}`;
}

function renderTeacher({
  model,
  temperature,
  topP,
  price,
}: BatchSummary['teachers'][number]): string {
  const cost =
    price === null
      ? 'unpriced'
      : `USD per million tokens: ${price.input} in, ${price.cachedInput} cached, ${price.output} out`;
  return `${model} (temperature ${temperature}, top-p ${topP}; ${cost})`;
}

function renderLosses({ samples, t1, t2 }: DatasetManifest): string {
  const reasons = [...new Set([...Object.keys(t1.lost), ...Object.keys(t2.lost)])].sort();
  const finished = samples.planned - samples.unfinished;
  const table = renderTable(
    ['reason', 'T1', 'T2'],
    reasons.map((reason) => [reason, t1.lost[reason] ?? 0, t2.lost[reason] ?? 0]),
  );
  return `Of ${samples.planned} samples ${finished} have ended.\n\n${reasons.length === 0 ? 'Nothing was left out.' : table}`;
}

/** Each view gets the rows that the one before it left. */
function renderViews(views: ViewCounts[]): string {
  return renderTable(
    ['view', 'T1 in', 'T1 left', 'T2 in', 'T2 left'],
    views.map(({ view, t1, t2 }) => [view, t1.in, t1.out, t2.in, t2.out]),
  );
}

function renderTable(head: string[], rows: (string | number)[][]): string {
  const line = (cells: (string | number)[]) =>
    `| ${cells.map((cell) => plain(String(cell))).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Names of a repository must not become markup. */
function plain(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

/** A fence that no text can close. */
function fenced(text: string, language: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

/** The first message of a flat row, which has the tools in it. */
function systemOf(row: Row): string | undefined {
  const messages: Json | undefined = row['messages'];
  const first = Array.isArray(messages) ? messages[0] : undefined;
  return isJsonObject(first) && typeof first['content'] === 'string' ? first['content'] : undefined;
}
