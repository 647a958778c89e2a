/** The model that rows are for: its chat template and its tokenizer, read from a folder as model repositories have it. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { DatasetError } from './folder.ts';
import type { Json, JsonObject } from './text.ts';

/** The chat template does not take these messages; the message is the template's own. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

export interface TemplateInput {
  messages: JsonObject[];
  /** Empty where the messages tell the tools themselves. */
  tools: Json[];
}

export interface Target {
  /** The text a trainer makes of the messages. Throws TemplateError. */
  render(input: TemplateInput): string;
  /** What the template adds where the model shall reply; undefined where that can't be told. Throws TemplateError. */
  replyHeader(input: TemplateInput): string | undefined;
  /** As `render`, in parts; undefined where the template marks no `{% generation %}`. Throws TemplateError. */
  renderMarked(input: TemplateInput): { text: string; generated: boolean }[] | undefined;
  /** Ids of the tokens of a text, nothing added. */
  encode(text: string): number[];
  /** Texts that its tokenizer turns into one token with a meaning of its own, longest first. */
  controlTokens: string[];
}

/** Reads `tokenizer.json`, `tokenizer_config.json` and, where it is there, `chat_template.jinja`. Throws DatasetError. */
export async function openTarget(folder: string): Promise<Target> {
  const [tokenizerJson, config] = await Promise.all([
    readObject(folder, 'tokenizer.json', tokenizerSchema),
    readObject(folder, 'tokenizer_config.json', configSchema),
  ]);
  const sources = await readTemplates(folder, config);
  const variables = Object.fromEntries(
    SPECIAL.flatMap((name) => {
      const token = config[name];
      return token == null ? [] : [[name, typeof token === 'string' ? token : token.content]];
    }),
  );
  const templates = parseTemplates(folder, sources, (source) => source);
  const marked = Object.values(sources).some((source) => GENERATION.test(source))
    ? parseTemplates(folder, sources, markGeneration)
    : undefined;
  const run = (from: Templates, { messages, tools }: TemplateInput, replyFollows: boolean) => {
    const template = tools.length > 0 ? (from.withTools ?? from.plain) : from.plain;
    try {
      return template.render({
        ...variables,
        messages,
        tools: tools.length > 0 ? tools : null,
        documents: null,
        add_generation_prompt: replyFollows,
      });
    } catch (error) {
      throw new TemplateError(error instanceof Error ? error.message : String(error));
    }
  };
  const tokenizer = await openTokenizer(folder, tokenizerJson, config);
  const template = Object.values(sources).join('\n');
  return {
    render: (input) => run(templates, input, false),
    replyHeader(input) {
      const without = run(templates, input, false);
      const whole = run(templates, input, true);
      return whole.startsWith(without) ? whole.slice(without.length) : undefined;
    },
    renderMarked: (input) => (marked ? splitMarked(run(marked, input, false)) : undefined),
    encode: (text) =>
      text === '' ? [] : tokenizer.encode(text, { add_special_tokens: false }).ids,
    controlTokens: tokenizerJson.added_tokens
      .filter(({ content, special }) => isControl(content, special, template))
      .map(({ content }) => content)
      .sort((a, b) => b.length - a.length),
  };
}

// --- internal ---

/** Tokens that templates know by name. */
const SPECIAL = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const;

const token = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullable()
  .optional();
const configSchema = z.looseObject({
  ...(Object.fromEntries(SPECIAL.map((name) => [name, token])) as Record<
    (typeof SPECIAL)[number],
    typeof token
  >),
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .nullable()
    .optional(),
});
const tokenizerSchema = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ content: z.string(), special: z.boolean().default(false) }))
    .default([]),
  model: z.looseObject({}),
});

interface Templates {
  plain: Template;
  /** Some models have a template of its own for conversations with tools. */
  withTools: Template | undefined;
}
type Sources = { plain: string; withTools?: string };

async function readObject<T>(folder: string, name: string, schema: z.ZodType<T>): Promise<T> {
  const path = join(folder, name);
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new DatasetError(
      `${path} can't be read (${cause.message}): name the folder of the model's tokenizer, with tokenizer.json and tokenizer_config.json`,
      { cause },
    );
  });
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new DatasetError(`${path} is not what a tokenizer needs: ${reason}`, { cause });
  }
}

/** The file of its own counts before the configuration, as in transformers. */
async function readTemplates(
  folder: string,
  { chat_template: given }: z.infer<typeof configSchema>,
): Promise<Sources> {
  const file = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => undefined);
  if (file !== undefined) return { plain: file };
  if (typeof given === 'string') return { plain: given };
  const named = (name: string) => given?.find((each) => each.name === name)?.template;
  const [plain, withTools] = [named('default'), named('tool_use')];
  if (plain !== undefined) return { plain, ...(withTools !== undefined && { withTools }) };
  throw new DatasetError(
    `${folder} has no chat template, neither chat_template.jinja nor in tokenizer_config.json: put the one in that the model will be served with`,
  );
}

function parseTemplates(
  folder: string,
  { plain, withTools }: Sources,
  prepare: (source: string) => string,
): Templates {
  try {
    return {
      plain: new Template(prepare(plain)),
      withTools: withTools === undefined ? undefined : new Template(prepare(withTools)),
    };
  } catch (cause) {
    throw new DatasetError(`the chat template of ${folder} can't be read: ${String(cause)}`, {
      cause,
    });
  }
}

async function openTokenizer(folder: string, json: object, config: object): Promise<Tokenizer> {
  try {
    return await Promise.resolve(new Tokenizer(json, config));
  } catch (cause) {
    throw new DatasetError(
      `${join(folder, 'tokenizer.json')} holds a tokenizer of an unknown kind: ${String(cause)}`,
      { cause },
    );
  }
}

/** A tag of the template counts where the tokenizer knows it, be it called special or not; runs of blanks do not. */
function isControl(content: string, special: boolean, template: string): boolean {
  if (content.trim().length < 3) return false;
  return special || (/^[<[]/.test(content) && template.includes(content));
}

const GENERATION = /\{%-?\s*generation\s*-?%\}/;
/** Of Unicode's noncharacters: in no text that a template makes by itself. */
const [BEGIN, END] = ['\ufdd0', '\ufdd1'];

/** The tags printed as marks, with what Jinja does to the blanks around a tag. */
function markGeneration(source: string): string {
  return source.replaceAll(
    /(^[ \t]*)?\{%(-?)\s*(end)?generation\s*(-?)%\}\n?/gm,
    (_, _indent, left: string, end: string | undefined, right: string) =>
      `{{${left} '${end === undefined ? BEGIN : END}' ${right}}}`,
  );
}

function splitMarked(marked: string): { text: string; generated: boolean }[] {
  return marked
    .split(BEGIN)
    .flatMap((piece, index) => {
      const [first = '', ...rest] = piece.split(END);
      return [
        { text: first, generated: index > 0 },
        { text: rest.join(''), generated: false },
      ];
    })
    .filter(({ text }) => text !== '');
}
