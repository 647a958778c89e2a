/** Reasoning of a reply, kept apart from its text: by every field name and every tag that endpoints use. */

import { asList, asRecord, asText } from './json.ts';

/** Fields of a message that hold reasoning as text. Endpoints repeat the same under several names, so the first that has any counts. */
export const REASONING_FIELDS = [
  'reasoning_content',
  'reasoning',
  'thinking',
  'reasoning_text',
  'thinking_content',
  'thought',
  'thoughts',
  'cot_summary',
];
/** Fields that hold it as a list of parts. */
export const REASONING_LISTS = ['reasoning_details', 'thinking_blocks'];
/** A gateway hands on here what it has no field for. */
const GATEWAY_FIELD = 'provider_specific_fields';

/** Pairs of tags that models put around their reasoning where no parser of the endpoint takes them away. */
const TAGS = [
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['<thought>', '</thought>'],
  ['<reasoning>', '</reasoning>'],
  ['<seed:think>', '</seed:think>'],
  ['<|begin_of_thought|>', '<|end_of_thought|>'],
  ['[THINK]', '[/THINK]'],
  ['◁think▷', '◁/think▷'],
] as const;

/** The end of reasoning on a line of its own, or before a call. */
const END_ALONE = /(?:^|\n)[ \t]*<\/think(?:ing)?>(?=[ \t]*(?:\n|$)|\s*<tool_call>)/;

/** Text and reasoning of a raw message; either may be empty. */
export function splitReasoning(raw: Record<string, unknown>): { text: string; reasoning: string } {
  const parts = splitContent(raw['content']);
  const tagged = splitTags(parts.text);
  const reasoning = [fieldsOf(raw) || parts.reasoning, tagged.reasoning]
    .filter((text) => text !== '')
    .join('\n\n');
  return { text: tagged.text, reasoning };
}

// --- internal ---

function fieldsOf(raw: Record<string, unknown>): string {
  for (const name of REASONING_FIELDS) {
    const text = textOf(raw[name]);
    if (text !== '') return text;
  }
  for (const name of REASONING_LISTS) {
    const text = asList(raw[name]).map(textOf).join('');
    if (text !== '') return text;
  }
  const gateway = asRecord(raw[GATEWAY_FIELD]);
  return Object.keys(gateway).length === 0 ? '' : fieldsOf({ ...gateway, [GATEWAY_FIELD]: null });
}

/** Content is a text, or a list of parts of which some are reasoning. */
function splitContent(content: unknown): { text: string; reasoning: string } {
  if (!Array.isArray(content)) return { text: textOf(content), reasoning: '' };
  const isReasoning = (part: unknown) =>
    /think|reason|thought/.test(asText(asRecord(part)['type'])) ||
    asRecord(part)['thought'] === true;
  return {
    text: content
      .filter((part) => !isReasoning(part))
      .map(textOf)
      .join(''),
    reasoning: content.filter(isReasoning).map(textOf).join(''),
  };
}

/** The text of a part, whatever its kind calls it; parts may hold parts. Encrypted and redacted ones have none. */
function textOf(part: unknown): string {
  if (typeof part === 'string') return part;
  if (Array.isArray(part)) return part.map(textOf).join('');
  if (part === null || typeof part !== 'object') return '';
  const record = part as Record<string, unknown>;
  for (const name of ['text', 'thinking', 'reasoning', 'summary', 'content']) {
    const text = textOf(record[name]);
    if (text !== '') return text;
  }
  return '';
}

/**
 * Only at the start of the content is a tag reasoning; elsewhere a model is talking about it. Without its end all of it is. Where
 * the prompt has opened the tag already, the reply holds its end alone, on a line of its own.
 */
function splitTags(content: string): { text: string; reasoning: string } {
  const thoughts: string[] = [];
  let text = content;
  for (;;) {
    const start = text.trimStart();
    const tags = TAGS.find(([opening]) => start.startsWith(opening));
    if (tags === undefined) break;
    const [opening, closing] = tags;
    const end = start.indexOf(closing, opening.length);
    thoughts.push(start.slice(opening.length, end === -1 ? undefined : end).trim());
    text = end === -1 ? '' : start.slice(end + closing.length).trimStart();
  }
  if (thoughts.length === 0) {
    const end = END_ALONE.exec(content);
    if (end !== null && !content.slice(0, end.index).includes('<think')) {
      return {
        text: content.slice(end.index + end[0].length).trimStart(),
        reasoning: content.slice(0, end.index).trim(),
      };
    }
  }
  return { text, reasoning: thoughts.filter((thought) => thought !== '').join('\n\n') };
}
