/** What the journal's entries mean: each is folded into a small state once, and the state says what comes next. */

import { REPOSITORY_PATH } from '../domain/ids.ts';
import type { RolloutStatus } from '../domain/outcome.ts';
import type { CallId, Completion, JournalEntry, Observation, ShellState } from '../domain/ports.ts';
import { cappedCostOf } from '../domain/price.ts';
import { addCost, addUsage, NO_USAGE, type Turn, type Usage } from '../domain/trajectory.ts';
import type { RolloutPlan } from './plan.ts';
import { parseReply } from './reply.ts';
import { FINAL_SUBMIT } from './tools/submit.ts';
import type { ToolUse } from './tools/profile.ts';
import type { EditMark } from './tools/tool.ts';

export type NextAction =
  | { kind: 'ask'; call: CallId }
  | { kind: 'perform'; id: string; toolCallId: string; use: ToolUse }
  /** A malformed turn gets its answer; nothing is executed. */
  | { kind: 'refuse'; id: string; problem: string }
  | { kind: 'end'; status: RolloutStatus };

type PendingAction = Exclude<NextAction, { kind: 'ask' | 'end' }>;

/** Everything the loop knows of a rollout. Changed only by `foldEntry`. */
export interface RolloutState {
  /** The conversation so far; the next request carries this very array. */
  turns: Turn[];
  /** Replies so far. */
  steps: number;
  /** The try that the next request is; more than 1 when a request before it got no reply. */
  nextTry: number;
  /** What the last reply asks for and has not got yet, in order. */
  pending: PendingAction[];
  openEdit: EditMark | undefined;
  /** Edits that are not undone, oldest first, by path. */
  edits: Map<string, EditMark[]>;
  shell: ShellState;
  /** Tool calls performed. */
  toolCalls: number;
  submits: number;
  formatErrorsInRow: number;
  timeoutsInRow: number;
  toolMs: number;
  serviceMs: number;
  usage: Usage;
  costUsd: number | null;
  /** What counts for the cap. */
  cappedUsd: number;
  model: string;
  simulated: boolean;
  /** Set by a Mark that ends the rollout. */
  ended: RolloutStatus | undefined;
}

/** The state of a rollout without entries. */
export function startState(plan: RolloutPlan): RolloutState {
  return {
    turns: [
      { role: 'system', content: plan.systemPrompt },
      { role: 'user', content: plan.taskPrompt },
    ],
    steps: 0,
    nextTry: 1,
    pending: [],
    openEdit: undefined,
    edits: new Map(),
    shell: { cwd: REPOSITORY_PATH, env: {} },
    toolCalls: 0,
    submits: 0,
    formatErrorsInRow: 0,
    timeoutsInRow: 0,
    toolMs: 0,
    serviceMs: 0,
    usage: NO_USAGE,
    costUsd: 0,
    cappedUsd: 0,
    model: '',
    simulated: false,
    ended: undefined,
  };
}

/** What the entries so far ask for: the next request, the next tool call, an answer to a malformed turn, or the end. */
export function nextAction(plan: RolloutPlan, state: RolloutState): NextAction {
  const ended = state.ended ?? toolLimit(plan, state);
  if (ended !== undefined) return { kind: 'end', status: ended };
  const [pending] = state.pending;
  if (pending !== undefined) return pending;
  const status = state.submits >= FINAL_SUBMIT ? 'submitted' : limit(plan, state);
  if (status !== undefined) return { kind: 'end', status };
  return {
    kind: 'ask',
    call: { scope: plan.rolloutId, step: state.steps + 1, try: state.nextTry },
  };
}

/** Brings the state up to date with one more entry, in constant time. Throws Error where the entry answers nothing pending. */
export function foldEntry(plan: RolloutPlan, state: RolloutState, entry: JournalEntry): void {
  switch (entry.kind) {
    case 'sent':
      state.nextTry = entry.call.try + 1;
      break;
    case 'reply':
      foldReply(plan, state, entry.reply);
      break;
    case 'observation':
      foldObservation(plan, state, entry.id, entry.observation);
      break;
    case 'mark':
      if (entry.mark === 'edit') state.openEdit = entry;
      if (entry.mark === 'context-limit') state.ended = 'context-limit';
      if (entry.mark === 'limit') state.ended = entry.status;
      break;
  }
}

// --- internal ---

/** Limits that also hold between the calls of one turn. */
function toolLimit({ limits }: RolloutPlan, state: RolloutState): RolloutStatus | undefined {
  if (state.submits >= FINAL_SUBMIT) return undefined;
  if (state.timeoutsInRow >= limits.maxConsecutiveTimeouts) return 'command-timeouts';
  if (state.toolMs >= limits.maxToolTimeMs) return 'tool-time-limit';
  return undefined;
}

function limit({ limits }: RolloutPlan, state: RolloutState): RolloutStatus | undefined {
  const { maxCostUsd = Infinity } = limits;
  if (state.formatErrorsInRow >= limits.maxFormatErrors) return 'format-errors';
  if (state.usage.inputTokens + state.usage.outputTokens >= limits.maxTokens) return 'token-limit';
  if (state.cappedUsd >= maxCostUsd) return 'cost-limit';
  if (state.serviceMs + state.toolMs >= limits.maxWallTimeMs) return 'time-limit';
  if (state.steps >= limits.maxSteps) return 'step-limit';
  return undefined;
}

function foldReply(plan: RolloutPlan, state: RolloutState, reply: Completion): void {
  state.steps += 1;
  state.nextTry = 1;
  state.serviceMs += reply.durationMs;
  state.usage = addUsage(state.usage, reply.usage);
  state.costUsd = addCost(state.costUsd, reply.costUsd);
  state.cappedUsd += cappedCostOf(reply);
  state.model = reply.model;
  state.simulated ||= reply.simulated;
  const id = `${plan.rolloutId}/${state.steps}`;
  const parsed = parseReply(reply, state.steps, plan.callsPerTurn);
  const rules = new Set(reply.repairs?.map(({ rule }) => rule));
  const turn = { ...parsed.message, ...(rules.size > 0 && { repairs: [...rules] }) };
  if (parsed.kind === 'format-error') {
    state.formatErrorsInRow += 1;
    state.turns.push({ ...turn, malformed: true });
    state.pending = [{ kind: 'refuse', id: `${id}.0`, problem: parsed.problem }];
  } else {
    state.formatErrorsInRow = 0;
    state.turns.push(turn);
    state.pending = parsed.calls.map((call, index) => ({
      kind: 'perform',
      id: `${id}.${index + 1}`,
      ...call,
    }));
  }
}

function foldObservation(
  plan: RolloutPlan,
  state: RolloutState,
  id: string,
  observation: Observation,
): void {
  const action = state.pending.shift();
  if (action?.id !== id) {
    throw new Error(
      `journal of ${plan.rolloutId}: an observation of ${id} where ${action?.id ?? 'none'} is due`,
    );
  }
  state.toolMs += observation.durationMs;
  if (action.kind === 'refuse') {
    answerMalformedTurn(state, observation.content);
    return;
  }
  state.turns.push({
    role: 'tool',
    toolCallId: action.toolCallId,
    content: observation.content,
    ...(observation.kind === 'error' || observation.notRun === true ? { failed: true } : {}),
  });
  state.toolCalls += 1;
  if (observation.kind === 'edit') countEdit(state, action.use);
  state.openEdit = undefined;
  if (observation.kind === 'submit') state.submits += 1;
  if (observation.kind === 'command') {
    state.timeoutsInRow = observation.timedOut === true ? state.timeoutsInRow + 1 : 0;
  }
  if (observation.shell !== undefined) state.shell = observation.shell;
  if (observation.diskLimit === true) state.ended = 'disk-limit';
}

/** Every call of the turn gets the same answer, because endpoints want one each; without calls it is a user message. */
function answerMalformedTurn(state: RolloutState, content: string): void {
  const turn = state.turns.at(-1);
  const calls = (turn?.role === 'assistant' ? turn.toolCalls : undefined) ?? [];
  for (const { id } of calls) state.turns.push({ role: 'tool', toolCallId: id, content });
  if (calls.length === 0) state.turns.push({ role: 'user', content });
}

function countEdit(state: RolloutState, use: ToolUse): void {
  const edit = state.openEdit;
  if (edit === undefined || use.tool !== 'str_replace_editor') return;
  const edits = state.edits.get(edit.path) ?? [];
  if (use.args.command === 'undo_edit') edits.pop();
  else edits.push(edit);
  state.edits.set(edit.path, edits);
}
