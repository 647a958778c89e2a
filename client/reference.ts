/** The reference of twinpatch.yaml, made from its schema; as a program, writes docs/configuration.md and docs/twinpatch.schema.json. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { configJsonSchema, type SchemaNode } from './config-schema.ts';
import { packageRoot } from './package-root.ts';

/** For editors. */
export function renderSchema(): string {
  return `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`;
}

/** A table per section. */
export function renderReference(): string {
  const root = configJsonSchema();
  const sections = Object.entries(root.properties ?? {});
  const top = sections.filter(([, node]) => node.properties === undefined);
  const tables = [
    renderTable('At the top', '', rowsOf({ properties: Object.fromEntries(top) }, root.required)),
    ...sections
      .filter(([, node]) => node.properties !== undefined)
      .map(([key, node]) => renderTable(`\`${key}\``, node.description ?? '', rowsOf(node))),
  ];
  return `${INTRODUCTION}\n${tables.join('\n')}`;
}

// --- internal ---

const INTRODUCTION = `<!-- Made by \`npm run docs\` from domain/config.ts; edit that file instead. -->

# Configuration

Keys of \`twinpatch.yaml\`. Durations are written with a unit (\`300s\`, \`15m\`), sizes too (\`2GiB\`); unknown keys are errors.
Relative paths start from the file's folder. \`--set key.key=value\` overrides a value for one command
(\`--set teacher.endpoints.0.model=other\`). \`docs/twinpatch.schema.json\` is the same for editors:

\`\`\`yaml
# yaml-language-server: $schema=.twinpatch/twinpatch.schema.json
\`\`\`
`;

interface Row {
  key: string;
  type: string;
  preset: string;
  description: string;
}

function rowsOf(node: SchemaNode, required = node.required ?? [], prefix = ''): Row[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const key = prefix + name;
    const nested = child.items?.properties ? child.items : child;
    const inner = rowsOf(nested, nested.required, `${key}${nested === child ? '' : '[]'}.`);
    const row = {
      key,
      type: typeOf(child),
      preset: presetOf(child, required.includes(name)),
      description: child.description ?? '',
    };
    return [row, ...inner];
  });
}

function renderTable(title: string, description: string, rows: Row[]): string {
  const lines = rows.map(
    ({ key, type, preset, description: text }) =>
      `| \`${key}\` | ${cell(type)} | ${cell(preset)} | ${cell(text)} |`,
  );
  return [
    `## ${title}`,
    '',
    ...(description === '' ? [] : [description, '']),
    '| key | type | default | description |',
    '| --- | --- | --- | --- |',
    ...lines,
    '',
  ].join('\n');
}

/** A table's cell ends at a bar. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function typeOf(node: SchemaNode): string {
  if (node.anyOf) return node.anyOf.map(typeOf).join(' or ');
  if (node.enum) return node.enum.map((value) => `\`${show(value)}\``).join(' or ');
  if (node.const !== undefined) return `\`${show(node.const)}\``;
  if (node.items) return `list of ${node.items.properties ? 'entries' : `${typeOf(node.items)}s`}`;
  if (node.type === 'object') return node.properties ? 'keys' : 'keys and values';
  if (node.pattern?.includes('GiB')) return 'size';
  if (node.pattern?.includes('ms|s|m|h')) return 'duration';
  if (node.format === 'uri') return 'URL';
  return TYPES[node.type ?? ''] ?? node.type ?? '';
}

const TYPES: Record<string, string> = {
  string: 'text',
  integer: 'whole number',
  boolean: '`true` or `false`',
};

function presetOf({ default: preset, properties }: SchemaNode, isRequired: boolean): string {
  if (isRequired) return 'required';
  // The defaults of its keys stand in their own rows.
  if (preset === undefined || properties !== undefined) return '';
  return `\`${show(preset)}\``;
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function main(): void {
  const docs = join(packageRoot(), 'docs');
  writeFileSync(join(docs, 'configuration.md'), renderReference());
  writeFileSync(join(docs, 'twinpatch.schema.json'), renderSchema());
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
