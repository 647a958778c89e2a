/** The texts a teacher reads, as strict templates, and the parsers of what it answers in tags. */

import type { BatchConfig } from './config.ts';
import type { Trajectory, Turn } from './trajectory.ts';

/** A text of the configuration can't be used; the message names the key and what to change. */
export class PromptError extends Error {
  override readonly name = 'PromptError';
}

export interface Template {
  /** Key in twinpatch.yaml, for error messages. */
  name: string;
  /** Variables are written `{{ name }}`, and in no other way. */
  text: string;
}

export interface Prompts {
  system: Template;
  task: Template;
  review: Template;
  selfCheck: Template;
  syntheticPr: Template;
}

export const VERDICT_TAG = 'verdict';
export const PR_TAG = 'pull_request';

/**
 * The template with every variable filled in; values are inserted as they are, never rendered again. Throws PromptError
 * when the template names an unknown variable, leaves out a given one, or writes one in another way than `{{ name }}`.
 */
export function render(template: Template, variables: Record<string, string>): string {
  const used = new Set<string>();
  const text = template.text.replaceAll(/\{\{([^{}]*)\}\}/g, (whole, inner: string) => {
    const name = /^ ([A-Za-z][A-Za-z0-9_]*) $/.exec(inner)?.[1];
    if (name === undefined) {
      throw new PromptError(
        `${template.name}: write \`${whole}\` as \`{{ ${inner.trim() || 'name'} }}\``,
      );
    }
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value === undefined) {
      const known = Object.keys(variables).map((each) => `\`{{ ${each} }}\``);
      throw new PromptError(
        `${template.name}: unknown variable \`{{ ${name} }}\`; ` +
          (known.length === 0 ? 'this text has no variables' : `known: ${known.join(', ')}`),
      );
    }
    used.add(name);
    return value;
  });
  const missing = Object.keys(variables).find((name) => !used.has(name));
  if (missing !== undefined) {
    throw new PromptError(`${template.name}: the text must use \`{{ ${missing} }}\``);
  }
  return text;
}

const SYSTEM = `You are an experienced software engineer. You work alone in a Linux sandbox without network access, and everything you do there happens through the tools you are given.

In every reply, say in a sentence or two what you think and what you want to find out or change next, then make one tool call. Wait for its result before you decide on the next step. When the work is done, call \`submit\`.`;

const TASK = `The repository you work on is in \`{{ repository }}\`. Somebody wrote this about it:

<description>
{{ statement }}
</description>

Please change the repository so that the description is dealt with. The following way of working has proved itself:

1. Look around: find the code the description is about, and read enough of what surrounds it.
2. Write a small script that shows the problem, or the behaviour you want to change, and run it.
3. Change the source. Keep the change as small as the matter allows, and in the style of the code around it.
4. Run your script again, and whatever existing checks are at hand, to see that it works.
5. Think of unusual cases, and make sure that your change holds for them too.

Nobody can answer questions while you work. Existing tests need no changes unless the description asks for them.`;

const REVIEW = `Before this is final, please look at your work once more. This is the whole change as it stands:

<diff>
{{ diff }}
</diff>

1. If you changed anything since you last ran your check, run it again, and repair what does not work.
2. Remove scripts, notes and other files that only served you while working.
3. If you changed existing test files without needing to, restore them.
4. When all is as it should be, call \`submit\` again; that call is final.`;

const SELF_CHECK = `You judge the work of a software engineer. Below is the instruction the engineer got, and then every step that was taken, oldest first: what was said, which tool was called, and what came back.

<instruction>
{{ instruction }}
</instruction>

<steps>
{{ steps }}
</steps>

The instruction was vague on purpose, so many different changes can be right. Judge only the change that was there at the end. Is it a coherent and sensible fix or improvement, and does it agree with the instruction? A change that breaks something, does nothing, only adds scripts or remarks without need, or is about something else is not.

Give your reason in one or two sentences. Then answer yes or no, like this:

<${VERDICT_TAG}>yes</${VERDICT_TAG}> or <${VERDICT_TAG}>no</${VERDICT_TAG}>`;

const SYNTHETIC_PR = `A software engineer changed a repository. Below is every step that was taken, oldest first: what was said, which tool was called, and what came back. Write the description that could have caused this work: the text somebody would have written who met the problem and does not know its solution.

<steps>
{{ steps }}
</steps>

This text comes from another project and is about something else. Take over its style and its length, and nothing of its content:

<example>
{{ demonstration }}
</example>

- Describe what can be observed, how to reproduce it, and what was expected instead. Where the work was an improvement rather than a fix, describe what is unsatisfying today.
- Be specific enough that an engineer who knows the repository and has only your text would end up at the same place with a similar change.
- Do not explain the cause or the solution, quote no code from the change, and give no line numbers. Code that shows the problem from outside is fine where the example has code too.
- Do not mention the engineer, the steps, this request or any test framework.

Write the finished text, and nothing else, between these tags:

<${PR_TAG}>
…
</${PR_TAG}>`;

/** What follows the pull-request prompt when a text that was written for it gave this away. */
export function renderAvoid(given: readonly string[]): string {
  const items = given.map((each) => `- ${each.replaceAll(/\s+/g, ' ')}`).join('\n');
  return `A text that was written before gave parts of the solution away. Write another one that can do without these, and describes instead what is seen from outside:\n\n<avoid>\n${items}\n</avoid>`;
}

/** The prompts of a batch: the user's where given. Throws PromptError when one can't be rendered. */
export function promptsOf(config: BatchConfig['prompts']): Prompts {
  const template = (key: keyof Prompts, builtIn: string, variables: string[]): Template => {
    const result = { name: `prompts.${key}`, text: config[key] ?? builtIn };
    render(result, Object.fromEntries(variables.map((name) => [name, ''])));
    return result;
  };
  return {
    system: template('system', SYSTEM, []),
    task: template('task', TASK, ['repository', 'statement']),
    review: template('review', REVIEW, ['diff']),
    selfCheck: template('selfCheck', SELF_CHECK, ['instruction', 'steps']),
    syntheticPr: template('syntheticPr', SYNTHETIC_PR, ['demonstration', 'steps']),
  };
}

/** The judge's answer, or undefined when there is none that counts. */
export function parseVerdict(text: string): 'yes' | 'no' | undefined {
  const answer = lastTagged(text, VERDICT_TAG)
    ?.toLowerCase()
    .replaceAll(/^[^a-z]+|[^a-z]+$/g, '');
  return answer === 'yes' || answer === 'no' ? answer : undefined;
}

/** The pull-request text, trimmed, or undefined when there is none. */
export function parsePullRequest(text: string): string | undefined {
  return lastTagged(text, PR_TAG) || undefined;
}

/** The last complete pair counts: models quote the tags while they think, before they answer. */
function lastTagged(text: string, tag: string): string | undefined {
  const pair = new RegExp(`<${tag}\\s*>((?:(?!<${tag}\\s*>)[^])*?)</${tag}\\s*>`, 'gi');
  return [...text.matchAll(pair)].at(-1)?.[1]?.trim();
}

/**
 * The steps of a rollout for the judge and the pull-request writer: one JSON object a line, oldest first. Turns that were
 * refused as malformed are left out. A text over `maxChars` loses its beginning, and a mark says so.
 */
export function renderSteps(trajectory: Trajectory, maxChars: number): string {
  const lines = toSteps(trajectory.turns).map((step) => JSON.stringify(step));
  const text = lines.join('\n');
  if (text.length <= maxChars) return text;
  const mark = '[the beginning is left out]\n';
  const tail = text.slice(text.length - Math.max(0, maxChars - mark.length));
  const lineStart = tail.indexOf('\n') + 1;
  return mark + tail.slice(lineStart);
}

interface RenderedStep {
  step: number;
  response: string;
  actions: { tool: string; arguments: string }[];
  observations: string[];
}

function toSteps(turns: Turn[]): RenderedStep[] {
  const steps: RenderedStep[] = [];
  let current: RenderedStep | undefined;
  for (const turn of turns) {
    if (turn.role === 'assistant') {
      current = turn.malformed
        ? undefined
        : {
            step: steps.length + 1,
            response: turn.content,
            actions: (turn.toolCalls ?? []).map((call) => ({
              tool: call.name,
              arguments: call.arguments,
            })),
            observations: [],
          };
      if (current) steps.push(current);
    } else if (turn.role === 'tool') {
      current?.observations.push(turn.content);
    }
  }
  return steps;
}
