/** Which characters of a rendered row are trained: replies, from behind their header to the token that ends them. */

import type { Conversation } from './conversation.ts';
import type { Place } from './rendered.ts';

export interface Span {
  start: number;
  end: number;
}

/** What the template and the tokenizer tell about replies. */
export interface ReplyBounds {
  /** What the template adds where a reply shall follow; undefined where that can't be told. */
  header: string | undefined;
  controlTokens: string[];
}

/** The spans of replies that shall be trained, in order. */
export function findTrained(
  text: string,
  places: Place[],
  { turns }: Conversation,
  bounds: ReplyBounds,
): Span[] {
  const tail = places.at(-1)?.end ?? 0;
  const turnEnd = lastControlToken(text.slice(tail), bounds.controlTokens);
  return turns.flatMap((turn, index) => {
    if (turn.role !== 'assistant' || !turn.train) return [];
    const own = places.filter(({ part }) => part.turn === index + 1);
    const [first, last] = [own[0], own.at(-1)];
    if (first === undefined || last === undefined) return [];
    const before = places[places.indexOf(first) - 1]?.end ?? 0;
    const after = places[places.indexOf(last) + 1]?.start ?? text.length;
    return [
      {
        start: before + headerEnd(text.slice(before, first.start), bounds),
        end: last.end + replyEnd(text.slice(last.end, after), turnEnd),
      },
    ];
  });
}

/** The marked spans without those of replies that shall not be trained, and what the marks leave out or take too much. */
export function compareMarked(
  marked: Span[],
  places: Place[],
  { turns }: Conversation,
): { spans: Span[]; problems: string[] } {
  const isWithin = ({ start, end }: Place) =>
    marked.some((span) => span.start <= start && end <= span.end);
  const isReply = ({ part }: Place) => turns[part.turn - 1]?.role === 'assistant';
  const missed = places.filter((place) => isReply(place) && !isWithin(place));
  const foreign = places.filter((place) => !isReply(place) && isWithin(place));
  const isMasked = ({ part }: Place) => {
    const turn = turns[part.turn - 1];
    return turn?.role === 'assistant' && !turn.train;
  };
  const spans = marked.filter(
    (span) =>
      !places.some(
        (place) => isMasked(place) && span.start <= place.start && place.end <= span.end,
      ),
  );
  return {
    spans,
    problems: [
      ...(missed[0] === undefined
        ? []
        : [
            `the {% generation %} of the chat template leaves out ${missed.length} parts of replies, the first in turn ${missed[0].part.turn}`,
          ]),
      ...(foreign[0] === undefined
        ? []
        : [
            `the {% generation %} of the chat template takes in ${foreign.length} parts that are no reply, the first in turn ${foreign[0].part.turn}`,
          ]),
    ],
  };
}

// --- internal ---

/** A thought that the header opens is a reply's own: models are trained to open it. */
const OPENED_THOUGHT = /<think>[^]*$/;

function headerEnd(gap: string, { header, controlTokens }: ReplyBounds): number {
  const plain = (header ?? '').replace(OPENED_THOUGHT, '');
  const at = plain === '' ? -1 : gap.lastIndexOf(plain);
  if (at !== -1) return at + plain.length;
  // Some templates have no header: what ends the turn before comes first, and may be followed by a token that starts calls.
  const first = controlTokens
    .map((token) => ({ token, index: gap.indexOf(token) }))
    .filter(({ index }) => index !== -1)
    .sort((a, b) => a.index - b.index)[0];
  return first === undefined ? gap.length : first.index + first.token.length;
}

function replyEnd(gap: string, turnEnd: string | undefined): number {
  const at = turnEnd === undefined ? -1 : gap.indexOf(turnEnd);
  if (turnEnd !== undefined && at !== -1) return at + turnEnd.length;
  // Nothing ends this turn but the next one: the reply reaches to the end of its calls.
  return /^(?:\s*<\/[\w:]+>|\s*[\]}])*/.exec(gap)?.[0].length ?? 0;
}

function lastControlToken(text: string, controlTokens: string[]): string | undefined {
  return controlTokens
    .map((token) => ({ token, index: text.lastIndexOf(token) }))
    .filter(({ index }) => index !== -1)
    .sort((a, b) => b.index - a.index)[0]?.token;
}
