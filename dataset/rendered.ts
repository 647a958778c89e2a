/**
 * Finds every part of a conversation again in the text that a chat template makes of it. The template is run twice: once on the
 * row, once on the same row with a probe in place of each text and each name of a call. The probes show which parts the template
 * keeps, and where; with the parts in their places, the second text must be the first one.
 */

import type { Call, Conversation, Reply } from './conversation.ts';
import { hasArguments, readCall, type RenderedCall } from './rendered-calls.ts';

export type PartKind = 'system prompt' | 'message' | 'result' | 'thought' | 'text' | 'call';

export interface Part {
  kind: PartKind;
  /** From 1; 0 for the system prompt. */
  turn: number;
  /** Of a call: its name. */
  text: string;
  call?: Call;
}

/** Where a part stands in the text; the end of a call is that of its arguments. */
export interface Place {
  part: Part;
  start: number;
  end: number;
}

export interface Findings {
  /** What is in the text, in order. */
  places: Place[];
  /** What a trainer would not see as it is in the row. */
  problems: string[];
}

export interface Probed {
  conversation: Conversation;
  parts: Part[];
  /** Around the number of a part in the probe that stands for it. */
  mark: string;
}

/** The conversation with a probe for every part; what is empty or blank has none. Tools stay as they are. */
export function toProbed(conversation: Conversation): Probed {
  const mark = unusedCharacter(JSON.stringify(conversation));
  const parts: Part[] = [];
  const probe = (part: Part): string => {
    if (part.text.trim() === '') return part.text;
    parts.push(part);
    return `${mark}${parts.length - 1}${mark}`;
  };
  const probeReply = (reply: Reply, turn: number): Reply => ({
    ...reply,
    reasoning: probe({ kind: 'thought', turn, text: reply.reasoning }),
    text: probe({ kind: 'text', turn, text: reply.text }),
    calls: reply.calls.map((call) => ({
      ...call,
      name: probe({ kind: 'call', turn, text: call.name, call }),
    })),
  });
  const system = probe({ kind: 'system prompt', turn: 0, text: conversation.system });
  const turns = conversation.turns.map((turn, index): Conversation['turns'][number] => {
    if (turn.role === 'assistant') return probeReply(turn, index + 1);
    const kind = turn.role === 'user' ? 'message' : 'result';
    return { ...turn, content: probe({ kind, turn: index + 1, text: turn.content }) };
  });
  return { conversation: { ...conversation, system, turns }, parts, mark };
}

/** Compares the text made of a row with the one made of its probes. */
export function findParts(text: string, probedText: string, { parts, mark }: Probed): Findings {
  const found = [...probedText.matchAll(new RegExp(`${mark}(\\d+)${mark}`, 'g'))];
  const probes = found.map((match) => ({
    part: parts[Number(match[1])]!,
    start: match.index,
    end: match.index + match[0].length,
  }));
  const places = new Map<Part, Place>();
  const problems = [...describeLost(parts, probes), ...describeOrder(parts, probes)];
  const stop = (problem: string): Findings => ({
    places: [...places.values()],
    problems: [...problems, problem],
  });
  let [at, probedAt] = [0, 0];
  let before: Part | undefined;
  for (const [index, { part, start, end }] of probes.entries()) {
    const literal = probedText.slice(probedAt, start);
    if (!text.startsWith(literal, at)) return stop(describeAfter(before));
    at += literal.length;
    const next = probes[index + 1]?.start ?? probedText.length;
    const match =
      part.call === undefined
        ? matchText(text, at, part.text, probedText.slice(end, next))
        : places.has(part)
          ? matchText(text, at, part.text, '')
          : matchCall(text, at, part.call, readCall(probedText, start, end));
    if (typeof match === 'string') return stop(`${nameOf(part)} ${match}`);
    if (match.problem !== undefined) problems.push(`${nameOf(part)} ${match.problem}`);
    if (!places.has(part)) places.set(part, { part, start: at, end: match.end });
    at = match.end;
    probedAt = match.probedEnd ?? end;
    before = part;
  }
  if (text.slice(at) !== probedText.slice(probedAt)) return stop(describeAfter(before));
  return { places: [...places.values()], problems };
}

// --- internal ---

/** Of the private-use ones: no template has an opinion about it. */
function unusedCharacter(text: string): string {
  for (let code = 0xe000; code < 0xf8ff; code += 1) {
    const mark = String.fromCharCode(code);
    if (!text.includes(mark)) return mark;
  }
  throw new Error('the conversation holds every private-use character');
}

function nameOf({ kind, turn }: Part): string {
  return turn === 0 ? `the ${kind}` : `turn ${turn}: the ${kind}`;
}

function describeAfter(part: Part | undefined): string {
  const where = part === undefined ? 'at its beginning' : `after ${nameOf(part)}`;
  return `the text the chat template makes depends on what the row says, ${where}`;
}

/** One line for each kind of part of which some are missing. */
function describeLost(parts: Part[], probes: { part: Part }[]): string[] {
  const kept = new Set(probes.map(({ part }) => part));
  return [...new Set(parts.map(({ kind }) => kind))].flatMap((kind) => {
    const all = parts.filter((part) => part.kind === kind);
    const lost = all.filter((part) => !kept.has(part));
    if (lost.length === 0) return [];
    const where = lost[0]!.turn === 0 ? '' : `, the first in turn ${lost[0]!.turn}`;
    return [`the chat template drops ${lost.length} of ${all.length} ${kind}s${where}`];
  });
}

/** A call's name may come again, with its answer. */
function describeOrder(parts: Part[], probes: { part: Part }[]): string[] {
  const seen = new Set<Part>();
  let last = -1;
  for (const { part } of probes) {
    const isRepeated = seen.has(part);
    if (isRepeated && part.call !== undefined) continue;
    if (isRepeated) return [`${nameOf(part)} stands in the text twice`];
    const place = parts.indexOf(part);
    if (place < last) return [`${nameOf(part)} stands in another order`];
    last = place;
    seen.add(part);
  }
  return [];
}

/** The ends of a part in both texts; that of the probe itself where the second is left out. */
type Match = { end: number; probedEnd?: number; problem?: string };

/** Enough of what follows to tell where a text ends whose last blanks may be cut. */
const MAX_LOOK_AHEAD = 8;

/** Blanks at the ends are a template's to cut, and some print what a tool returned as a JSON text. */
function matchText(text: string, at: number, meant: string, rest: string): Match | string {
  const [noLinesBefore, noLinesAfter] = [meant.replace(/^\n+/, ''), meant.replace(/\n+$/, '')];
  const forms = [
    meant,
    meant.trim(),
    meant.trimStart(),
    meant.trimEnd(),
    noLinesBefore,
    noLinesAfter,
    noLinesBefore.replace(/\n+$/, ''),
  ];
  for (const form of forms) {
    for (const printed of [form, JSON.stringify(form).slice(1, -1)]) {
      const end = at + printed.length;
      if (text.startsWith(printed, at) && text.startsWith(rest.slice(0, MAX_LOOK_AHEAD), end))
        return { end };
    }
  }
  // What follows is another than it should be, which is found out next.
  if (text.startsWith(meant, at)) return { end: at + meant.length };
  return 'is changed by the chat template';
}

/** Both texts hold the call, under its name in one and under a probe in the other: it is read from both. */
function matchCall(
  text: string,
  at: number,
  { name, arguments: meant }: Call,
  probed: RenderedCall | undefined,
): Match | string {
  const read = text.startsWith(name, at) ? readCall(text, at, at + name.length) : undefined;
  if (read === undefined || probed === undefined)
    return "can't be read back from the text the chat template makes";
  return {
    end: read.end,
    probedEnd: probed.end,
    ...(!hasArguments(read, meant) && { problem: describeArguments(read) }),
  };
}

function describeArguments({ arguments: read }: RenderedCall): string {
  return read.as === 'json' && typeof read.value === 'string'
    ? 'has its arguments as a JSON text within the JSON'
    : 'has other arguments when it is read back from the text';
}
