/** Folders as model repositories have them: the tiny tokenizer, and a chat template of our own in the shape of a family. */

import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const TEMPLATES = [
  'chatml',
  'qwen',
  'qwen-coder',
  'qwen-training',
  'llama',
  'mistral',
  'glm',
] as const;
export type TemplateName = (typeof TEMPLATES)[number];

/** Makes `<home>/<name>` and returns its path. */
export async function makeTarget(home: string, name: TemplateName): Promise<string> {
  const folder = join(home, name);
  await mkdir(folder, { recursive: true });
  await cp(`${FIXTURES}tokenizer`, folder, { recursive: true });
  await writeFile(join(folder, 'chat_template.jinja'), await readTemplate(name));
  return folder;
}

/** The source of a template. */
export function readTemplate(name: TemplateName): Promise<string> {
  return readFile(`${FIXTURES}chat-templates/${name}.jinja`, 'utf8');
}

// --- internal ---

const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url));
