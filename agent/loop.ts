/** One rollout: ask the teacher, perform what it asks for, journal, repeat until it submits or a limit is reached. */

import type { RolloutStatus } from '../domain/outcome.ts';
import {
  type CallId,
  type Completion,
  type CompletionRequest,
  type Journal,
  type JournalEntry,
  type Observation,
  type Sandbox,
  type Teacher,
  TeacherError,
} from '../domain/ports.ts';
import type { Usage } from '../domain/trajectory.ts';
import {
  foldEntry,
  type NextAction,
  nextAction,
  type RolloutState,
  startState,
} from './next-action.ts';
import type { RolloutPlan } from './plan.ts';
import { performTool, TOOLS } from './tools/profile.ts';

export interface RolloutPorts {
  teacher: Teacher;
  sandbox: Sandbox;
  journal: Journal;
}

/** Where a rollout is: the step under way, and what the ones before it took. */
export interface RolloutProgress {
  step: number;
  phase: 'teacher' | 'tool';
  /** Input and output together. */
  tokens: number;
  costUsd: number | null;
}

export interface RolloutRun {
  status: RolloutStatus;
  /** Teacher turns. */
  steps: number;
  /** Calls performed; refused ones don't count. */
  toolCalls: number;
  usage: Usage;
  /** USD; null where a call had no known price. */
  costUsd: number | null;
  simulated: boolean;
  /** As the endpoint names it; empty when no reply came. */
  model: string;
  /** Time the endpoint worked, in milliseconds. */
  serviceMs: number;
}

/**
 * Runs a rollout to its end, after the last journaled entry when there are some. Every end by limit is a status. Throws
 * TeacherError (but for `context`), SandboxLost, EngineUnavailable and the journal's errors, and rejects with the signal's
 * reason when it aborts; in all of these the journal holds what is needed to go on.
 */
export async function runRollout(
  plan: RolloutPlan,
  ports: RolloutPorts,
  signal: AbortSignal,
  onProgress: (progress: RolloutProgress) => void = () => {},
): Promise<RolloutRun> {
  try {
    return await loop(plan, ports, signal, onProgress);
  } catch (error) {
    signal.throwIfAborted(); // a port may have put the abort into words of its own
    throw error;
  }
}

// --- internal ---

async function loop(
  plan: RolloutPlan,
  { teacher, sandbox, journal }: RolloutPorts,
  signal: AbortSignal,
  onProgress: (progress: RolloutProgress) => void,
): Promise<RolloutRun> {
  const state = startState(plan);
  for (const entry of await journal.open()) foldEntry(plan, state, entry);
  const record = async (entry: JournalEntry) => {
    await journal.append(entry); // durable first, then counted
    foldEntry(plan, state, entry);
  };
  for (;;) {
    signal.throwIfAborted();
    const next = nextAction(plan, state);
    switch (next.kind) {
      case 'ask': {
        onProgress(progressOf(state, 'teacher'));
        await record({ kind: 'sent', call: next.call, at: new Date().toISOString() });
        const reply = await ask(teacher, toRequest(state), next.call, signal);
        await record(
          reply === 'context-limit'
            ? { kind: 'mark', mark: 'context-limit' }
            : { kind: 'reply', call: next.call, reply },
        );
        break;
      }
      case 'perform':
      case 'refuse': {
        onProgress(progressOf(state, 'tool'));
        const observation = await perform(plan, state, next, sandbox, record, signal);
        await record({ kind: 'observation', id: next.id, observation });
        break;
      }
      case 'end':
        return toRun(state, next.status);
    }
  }
}

async function ask(
  teacher: Teacher,
  request: CompletionRequest,
  call: CallId,
  signal: AbortSignal,
): Promise<Completion | 'context-limit'> {
  try {
    return await teacher.complete(request, call, signal);
  } catch (error) {
    if (error instanceof TeacherError && error.kind === 'context') return 'context-limit';
    throw error;
  }
}

function toRequest({ turns }: RolloutState): CompletionRequest {
  return { messages: turns, tools: TOOLS };
}

async function perform(
  plan: RolloutPlan,
  state: RolloutState,
  action: Extract<NextAction, { kind: 'perform' | 'refuse' }>,
  sandbox: Sandbox,
  record: (entry: JournalEntry) => Promise<void>,
  signal: AbortSignal,
): Promise<Observation> {
  if (action.kind === 'refuse') {
    return { kind: 'format-error', content: action.problem, durationMs: 0 };
  }
  const outcome = await performTool(action.use, {
    plan,
    sandbox,
    signal,
    id: action.id,
    shell: state.shell,
    submits: state.submits,
    openEdit: state.openEdit,
    editsOf: (path) => state.edits.get(path) ?? [],
    recordEdit: (mark) => record({ kind: 'mark', ...mark }),
  });
  return { toolCallId: action.toolCallId, ...outcome };
}

function progressOf(state: RolloutState, phase: RolloutProgress['phase']): RolloutProgress {
  const { steps, usage, costUsd } = state;
  return {
    step: phase === 'teacher' ? steps + 1 : steps,
    phase,
    tokens: usage.inputTokens + usage.outputTokens,
    costUsd,
  };
}

function toRun(state: RolloutState, status: RolloutStatus): RolloutRun {
  const { steps, toolCalls, usage, costUsd, simulated, model, serviceMs } = state;
  return { status, steps, toolCalls, usage, costUsd, simulated, model, serviceMs };
}
