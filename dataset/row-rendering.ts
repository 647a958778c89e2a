/** Renders rows as a trainer would, and says what is lost, which tokens are trained, and which format would lose nothing. */

import { z } from 'zod';
import type { RowCheck } from './check.ts';
import { textsOf, type Conversation } from './conversation.ts';
import { DatasetError } from './folder.ts';
import { formatOf } from './formats/formats.ts';
import { findParts, toProbed } from './rendered.ts';
import type { Row } from './row.ts';
import { TemplateError, type Target, type TemplateInput } from './target.ts';
import { templateInputOf, toTemplateInput, type MessageForm } from './template-input.ts';
import type { Json } from './text.ts';
import { compareMarked, findTrained, type Span } from './trained-spans.ts';
import { MAX_TOKENS } from './training.ts';

/** A piece of a rendered row. */
export interface Segment {
  text: string;
  trained: boolean;
  tokens: number;
}

export interface RenderingReport {
  rows: number;
  /** Of all rows. */
  tokens: number;
  trainedTokens: number;
  /** Of the longest row. */
  mostTokens: number;
  /** Rows with more tokens than the trainers' configurations let in. */
  tooLong: number;
  /** The first row, whole. */
  shown: Segment[];
  /** Whether a trainer would see something else than a row says. */
  isLossy: boolean;
  /** Options of an export that would lose nothing of the first row that does. */
  wouldWork: string[];
}

/** How the rows of an export hold what a chat template is given. */
export interface RowForm extends MessageForm {
  fileType: 'jsonl' | 'parquet';
}

/** A check of rows, and what it has found so far. Throws DatasetError for a format that no chat template renders. */
export function createRenderingCheck(
  target: Target,
  form: RowForm,
): { check: RowCheck; report: RenderingReport } {
  if (!RENDERED.some(({ format }) => format === form.format)) {
    throw new DatasetError(
      `rows of ${form.format} are rendered by no chat template, so none can be checked: export hermes, xml or openai with --tokenizer`,
    );
  }
  const report: RenderingReport = {
    rows: 0,
    tokens: 0,
    trainedTokens: 0,
    mostTokens: 0,
    tooLong: 0,
    shown: [],
    isLossy: false,
    wouldWork: [],
  };
  const check: RowCheck = (row, conversation) => {
    // Typed files hold arguments as text, which every configuration parses before it renders.
    const isText = form.fileType === 'parquet';
    const { segments, problems } = renderRow(
      target,
      conversation,
      toTemplateInput(row as Row, isText),
      {
        ...form,
        ...(isText && { argumentsAs: 'object' }),
      },
    );
    if (problems.length > 0 && !report.isLossy) {
      report.isLossy = true;
      report.wouldWork = findOthers(target, conversation, form);
    }
    count(report, segments, target);
    return [...findControlTokens(target, conversation), ...problems];
  };
  return { check, report };
}

/** The text a trainer makes of a row, what of it is trained, and what is lost. `input` is what the row gives the chat template. */
export function renderRow(
  target: Target,
  conversation: Conversation,
  input: TemplateInput,
  form: MessageForm,
): { segments: Omit<Segment, 'tokens'>[]; problems: string[] } {
  try {
    const text = target.render(input);
    const probed = toProbed(conversation);
    const found = findParts(
      text,
      target.render(templateInputOf(probed.conversation, form)),
      probed,
    );
    const marked = toSpans(target.renderMarked(input), text);
    const compared = marked && compareMarked(marked, found.places, conversation);
    const trained =
      compared?.spans ??
      findTrained(text, found.places, conversation, {
        header: target.replyHeader(input),
        controlTokens: target.controlTokens,
      });
    return {
      segments: toSegments(text, trained),
      problems: [
        ...findHiddenTools(text, input.tools),
        ...found.problems,
        ...(compared?.problems ?? []),
      ],
    };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return { segments: [], problems: [`the chat template refuses the row: ${error.message}`] };
  }
}

// --- internal ---

const toolSchema = z.object({ function: z.object({ name: z.string() }) });

/** Every way of writing rows that a chat template renders. */
const RENDERED: MessageForm[] = [
  { format: 'hermes', argumentsAs: 'object' },
  { format: 'openai', argumentsAs: 'object' },
  { format: 'openai', argumentsAs: 'string' },
  { format: 'xml', argumentsAs: 'object' },
];

/** Tools that the row has apart, and the template does not tell the model of. */
function findHiddenTools(text: string, tools: Json[]): string[] {
  const names = tools.flatMap((tool) => {
    const read = toolSchema.safeParse(tool);
    return read.success && !text.includes(`"${read.data.function.name}"`)
      ? [read.data.function.name]
      : [];
  });
  return names.length === 0
    ? []
    : [`the chat template does not tell of the tools ${names.join(', ')}`];
}

/** Undefined where the marks change the text around them, as some templates' do. */
function toSpans(
  pieces: { text: string; generated: boolean }[] | undefined,
  text: string,
): Span[] | undefined {
  if (pieces?.map((piece) => piece.text).join('') !== text) return undefined;
  let at = 0;
  return pieces.flatMap(({ text: { length }, generated }) => {
    at += length;
    return generated ? [{ start: at - length, end: at }] : [];
  });
}

function toSegments(text: string, trained: Span[]): Omit<Segment, 'tokens'>[] {
  const segments: Omit<Segment, 'tokens'>[] = [];
  let at = 0;
  for (const { start, end } of trained) {
    segments.push({ text: text.slice(at, start), trained: false });
    segments.push({ text: text.slice(start, end), trained: true });
    at = end;
  }
  segments.push({ text: text.slice(at), trained: false });
  return segments.filter((segment) => segment.text !== '');
}

/** Pieces are counted by themselves: a model writes its reply behind the header, token by token. */
function count(report: RenderingReport, segments: Omit<Segment, 'tokens'>[], target: Target): void {
  const counted = segments.map((segment) => ({
    ...segment,
    tokens: target.encode(segment.text).length,
  }));
  const sum = (of: Segment[]) => of.reduce((total, { tokens }) => total + tokens, 0);
  const tokens = sum(counted);
  if (report.rows === 0) report.shown = counted;
  report.rows += 1;
  report.tokens += tokens;
  report.trainedTokens += sum(counted.filter(({ trained }) => trained));
  report.mostTokens = Math.max(report.mostTokens, tokens);
  if (tokens > MAX_TOKENS) report.tooLong += 1;
}

/** Options of an export that would lose nothing. */
function findOthers(target: Target, conversation: Conversation, form: RowForm): string[] {
  return RENDERED.filter(({ format, argumentsAs }) => {
    if (format === form.format && argumentsAs === form.argumentsAs) return false;
    if (formatOf(format, argumentsAs).lossOf(conversation) !== undefined) return false;
    const other = { format, argumentsAs };
    return (
      renderRow(target, conversation, templateInputOf(conversation, other), other).problems
        .length === 0
    );
  }).map(({ format, argumentsAs }) =>
    argumentsAs === 'string' ? `--format ${format} --arguments string` : `--format ${format}`,
  );
}

function findControlTokens({ controlTokens }: Target, { system, turns }: Conversation): string[] {
  const find = (where: string, texts: string[]) =>
    controlTokens
      .filter((token) => texts.some((text) => text.includes(token)))
      .map((token) => `${where} holds ${token}, which is a token of its own to this tokenizer`);
  return [
    ...find('the system prompt', [system]),
    ...turns.flatMap((turn, index) =>
      find(`turn ${index + 1}`, turn.role === 'assistant' ? textsOf(turn) : [turn.content]),
    ),
  ];
}
