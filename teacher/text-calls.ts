/** Tool calls that a model wrote into its text, for endpoints that have no parser for them. */

import type { CompletionRequest } from '../domain/ports.ts';
import { readObject, valueOf } from './arguments.ts';
import { asRecord, asText } from './json.ts';
import type { RawCall } from './tool-calls.ts';

export type TextFormat = 'hermes' | 'qwen-xml' | 'glm';

/** What is left of the text, and the calls it held. A call that can't be read keeps its text as arguments, so that it is refused. */
export function splitTextCalls(
  text: string,
  format: TextFormat,
  tools: CompletionRequest['tools'],
): { text: string; calls: RawCall[] } {
  const { block, read } = FORMATS[format];
  const calls: RawCall[] = [];
  const left = text.replaceAll(block, (whole, body: string) => {
    const call = read(body.trim(), (name, key) => typeOf(tools, name, key));
    if (call === undefined) return whole;
    calls.push({ id: '', ...call });
    return '';
  });
  return calls.length === 0 ? { text, calls } : { text: left.trim(), calls };
}

// --- internal ---

type TypeOf = (tool: string, argument: string) => string;
type Read = (body: string, typeOf: TypeOf) => Omit<RawCall, 'id'> | undefined;

/** The end of the last block may be missing: it is where the model stopped. */
const TOOL_CALL = /<tool_call>([^]*?)(?:<\/tool_call>|(?=<tool_call>)|$)/g;
const FORMATS: Record<TextFormat, { block: RegExp; read: Read }> = {
  hermes: { block: TOOL_CALL, read: readHermes },
  'qwen-xml': {
    block: /(?:<tool_call>\s*)?<function=([^]*?)(?:<\/function>(?:\s*<\/tool_call>)?|$)/g,
    read: readQwenXml,
  },
  glm: { block: TOOL_CALL, read: readGlm },
};

/** `{"name": …, "arguments": {…}}` */
function readHermes(body: string): Omit<RawCall, 'id'> | undefined {
  const read = readObject(body);
  if (read === undefined) {
    const [, name] = /"name"\s*:\s*"([^"]+)"/.exec(body) ?? [];
    return name === undefined ? undefined : { name, arguments: body };
  }
  const { object: call, rules } = read;
  const name = asText(call['name']);
  const named = call['arguments'] ?? call['parameters'];
  // Here an object is the usual form.
  const isText = named === undefined || named === null || typeof named === 'string';
  const written = isText ? named : JSON.stringify(named);
  return name === '' ? undefined : { name, arguments: written, rules };
}

interface PairForm {
  /** Sticky; its group is the argument's name. */
  open: RegExp;
  close: string;
  /** Sticky; what has to follow the end of a value, which may hold its own end mark. */
  next: RegExp;
}
const PARAMETER: PairForm = {
  open: /\s*<parameter=([^>\n]+)>/y,
  close: '</parameter>',
  next: /\s*(?:<parameter=|$)/y,
};
const ARGUMENT: PairForm = {
  open: /\s*<arg_key>([^<]*)<\/arg_key>\s*<arg_value>/y,
  close: '</arg_value>',
  next: /\s*(?:<arg_key>|$)/y,
};

/** `NAME>`, then `<parameter=KEY>VALUE</parameter>` for each argument. */
function readQwenXml(body: string, typeOf: TypeOf): Omit<RawCall, 'id'> | undefined {
  const [, name = '', rest = ''] = /^([^>\n]+)>([^]*)$/.exec(body) ?? [];
  return readPairs(name.trim(), rest, PARAMETER, typeOf);
}

/** `NAME`, then `<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>` for each argument. */
function readGlm(body: string, typeOf: TypeOf): Omit<RawCall, 'id'> | undefined {
  const [, name = '', rest = ''] = /^([^<\n]+)([^]*)$/.exec(body) ?? [];
  return readPairs(name.trim(), rest, ARGUMENT, typeOf);
}

/** A line end on both sides of a value is part of the form. Something between arguments, or one given twice, has no one meaning. */
function readPairs(name: string, text: string, { open, close, next }: PairForm, typeOf: TypeOf) {
  if (name === '') return undefined;
  const object = new Map<string, unknown>();
  const unread = { name, arguments: text };
  let at = 0;
  while (text.slice(at).trim() !== '') {
    open.lastIndex = at;
    const key = open.exec(text)?.[1]?.trim();
    if (key === undefined || object.has(key)) return unread;
    const start = open.lastIndex;
    let end = text.indexOf(close, start);
    while (end !== -1 && !matchesAt(next, text, end + close.length)) {
      end = text.indexOf(close, end + close.length);
    }
    if (end === -1) return unread;
    const value = text.slice(start, end).replace(/^\n/, '').replace(/\n$/, '');
    object.set(key, valueOf(value, typeOf(name, key)));
    at = end + close.length;
  }
  return { name, arguments: JSON.stringify(Object.fromEntries(object)) };
}

function matchesAt(sticky: RegExp, text: string, at: number): boolean {
  sticky.lastIndex = at;
  return sticky.test(text);
}

function typeOf(tools: CompletionRequest['tools'], name: string, argument: string): string {
  const tool = tools?.find((each) => each.function.name === name);
  const properties = asRecord(tool?.function.parameters['properties']);
  return asText(asRecord(properties[argument])['type']) || 'string';
}
