/** From a trajectory to a row. */

import { z } from 'zod';
import type { Trajectory, Turn } from '../domain/trajectory.ts';
import {
  hasControlTokens,
  hasHermesTags,
  parseArguments,
  renderAssistant,
  renderResponse,
  renderSystem,
} from './hermes.ts';
import { cleanJson, cleanText, type Json, type Row, type RowMessage } from './row.ts';
import type { FinishedSample, RolloutSide } from './select.ts';

/** Why a selected trajectory cannot become a row. */
export type RenderLoss =
  /** Some text holds a control token or a tag of the format, which would become real ones in training. */
  | 'chat-tokens'
  /** A call was executed whose arguments are no JSON object. */
  | 'invalid-call'
  /** The turns do not alternate. */
  | 'broken-turns'
  | 'nothing-to-train';

/**
 * The Hermes row of one rollout. It ends with the teacher's last turn: what came back after it teaches nothing, and some
 * trainers drop rows of an odd length.
 */
export function renderRow(
  sample: FinishedSample,
  side: RolloutSide,
  trajectory: Trajectory,
): { row: Row } | { lost: RenderLoss } {
  const lastReply = trajectory.turns.findLastIndex((turn) => turn.role === 'assistant');
  const turns = trajectory.turns.slice(0, lastReply + 1).map(cleanTurn);
  const lost = findLoss(turns);
  if (lost) return { lost };
  const tools = z
    .array(z.json())
    .parse(trajectory.tools)
    .map((tool) => cleanJson(tool));
  return {
    row: {
      messages: renderMessages(turns, tools),
      tool_json: JSON.stringify(tools),
      instance_id: cleanText(sample.sampleKey),
      rollout: cleanText(side.rolloutId),
      recall: sample.recall ?? { exact: null, sera: null },
      simulated: side.simulated,
      provenance: cleanJson({ ...sample.provenance, ...side.provenance }),
    },
  };
}

// --- internal ---

function cleanTurn(turn: Turn): Turn {
  const content = cleanText(turn.content);
  if (turn.role !== 'assistant') return { ...turn, content };
  return {
    ...turn,
    content,
    reasoning: cleanText(turn.reasoning ?? ''),
    toolCalls: (turn.toolCalls ?? []).map((call) => ({
      id: call.id,
      name: cleanText(call.name),
      arguments: cleanText(call.arguments),
    })),
  };
}

function findLoss(turns: Turn[]): RenderLoss | undefined {
  if (!turns.some((turn) => turn.role === 'assistant' && !turn.malformed))
    return 'nothing-to-train';
  if (!isAlternating(turns)) return 'broken-turns';
  const executed = turns.flatMap((turn) =>
    turn.role === 'assistant' && !turn.malformed ? (turn.toolCalls ?? []) : [],
  );
  if (executed.some((call) => !parseArguments(call.arguments))) return 'invalid-call';
  if (turns.some(hasChatTokens)) return 'chat-tokens';
  return undefined;
}

/** System first, if at all; then what the teacher reads and what it writes in turn. */
function isAlternating(turns: Turn[]): boolean {
  return turns.every((turn, index) => {
    const before = turns[index - 1]?.role ?? 'system';
    if (turn.role === 'system') return before === 'system';
    if (turn.role === 'assistant') return before === 'user' || before === 'tool';
    return turn.role === 'user' || before !== 'system';
  });
}

function hasChatTokens(turn: Turn): boolean {
  if (turn.role !== 'assistant') {
    return hasControlTokens(turn.content) || hasHermesTags(turn.content);
  }
  const text = toContent(turn);
  // A refused turn often is a call gone wrong: its tags harm nothing, since nobody trains on it.
  if (turn.malformed) return hasControlTokens(text);
  const pieces = [turn.content, turn.reasoning ?? '', ...callTexts(turn.toolCalls ?? [])];
  return hasControlTokens(text) || pieces.some(hasHermesTags);
}

function renderMessages(turns: Turn[], tools: Json[]): RowMessage[] {
  const prompt = turns.filter((turn) => turn.role === 'system').map((turn) => turn.content);
  const messages: RowMessage[] = [
    { role: 'system', content: renderSystem(prompt.join('\n\n'), tools), train: false },
  ];
  for (const turn of turns) {
    const last = messages.at(-1)!;
    if (turn.role === 'system') continue;
    if (turn.role === 'assistant') {
      messages.push({ role: 'assistant', content: toContent(turn), train: !turn.malformed });
    } else if (last.role === 'user') {
      last.content += `\n${toContent(turn)}`;
    } else {
      messages.push({ role: 'user', content: toContent(turn), train: false });
    }
  }
  return messages;
}

function toContent(turn: Turn): string {
  if (turn.role === 'tool') return renderResponse(turn.content);
  if (turn.role !== 'assistant') return turn.content;
  const { content, reasoning = '', toolCalls = [] } = turn;
  if (turn.malformed) {
    const text = [content, ...toolCalls.map((call) => `${call.name} ${call.arguments}`)];
    return renderAssistant({ reasoning, text: text.join('\n'), calls: [] });
  }
  const calls = toolCalls.map((call) => ({
    name: call.name,
    arguments: parseArguments(call.arguments) ?? {},
  }));
  return renderAssistant({ reasoning, text: content, calls });
}

/** Names and arguments as they stand in the row, escapes resolved. */
function callTexts(calls: { name: string; arguments: string }[]): string[] {
  return calls.flatMap((call) => [call.name, JSON.stringify(parseArguments(call.arguments))]);
}
