/** The vague instructions of rollout 1: each points at a place and names a kind of trouble, and promises nothing about the cause. */

import type { BatchConfig } from './config.ts';
import { PromptError, render, type Template } from './prompts.ts';

export interface Instruction {
  id: string;
  /** The kind of trouble it names; `user` for a text from the configuration. */
  topic: string;
  /** Template over `{{ function }}` and `{{ file }}`. */
  text: string;
}

/** The built-in catalogue; language-neutral, every text holds "`{{ function }}` in `{{ file }}`". */
export const INSTRUCTIONS: readonly Instruction[] = [
  {
    id: 'something-is-off',
    topic: 'bugs',
    text: 'Something is off around `{{ function }}` in `{{ file }}`. It may be the function itself, what it calls, or the way it is called. Please find it and put it right.',
  },
  {
    id: 'wrong-result',
    topic: 'bugs',
    text: 'Now and then we get a wrong result that seems to come through `{{ function }}` in `{{ file }}`. Look at it and at the callers that use it, and fix what you find.',
  },
  {
    id: 'off-by-one',
    topic: 'bugs',
    text: 'I suspect a boundary that is one too far or one too short near `{{ function }}` in `{{ file }}`. Check the ranges there, in its helpers and in its callers.',
  },
  {
    id: 'condition-inverted',
    topic: 'bugs',
    text: 'A condition in or around `{{ function }}` in `{{ file }}` does not seem to mean what it should. Please follow the branches, also into the functions it calls, and correct what is wrong.',
  },
  {
    id: 'shared-state-changed',
    topic: 'bugs',
    text: 'Somebody changes a value that others still hold, and the trail leads to `{{ function }}` in `{{ file }}` or one of its callers. Please stop that.',
  },
  {
    id: 'argument-modified',
    topic: 'bugs',
    text: 'A caller was surprised that its own data looked different after going through `{{ function }}` in `{{ file }}`. Look there and in what it hands the data on to.',
  },
  {
    id: 'order-dependent',
    topic: 'bugs',
    text: 'The outcome of `{{ function }}` in `{{ file }}` appears to depend on the order in which things arrive or are called, and it should not. Look at the functions around it as well.',
  },
  {
    id: 'default-surprise',
    topic: 'bugs',
    text: 'When optional arguments are left out, `{{ function }}` in `{{ file }}` or something it calls does not do what one expects. Please make the defaults sensible.',
  },
  {
    id: 'result-ignored',
    topic: 'bugs',
    text: 'A result seems to be thrown away, or a wrong one returned, on one of the paths through `{{ function }}` in `{{ file }}`. Check the callers and callees too.',
  },
  {
    id: 'stale-value',
    topic: 'bugs',
    text: 'We see values that are out of date, and `{{ function }}` in `{{ file }}` is somewhere on the way. Find where a stale value can survive, there or in the code around it, and fix it.',
  },
  {
    id: 'number-precision',
    topic: 'numbers',
    text: 'Numbers do not always add up around `{{ function }}` in `{{ file }}`: rounding, precision, overflow or the wrong unit, I am not sure which. Check it together with its callers.',
  },
  {
    id: 'comparison-trouble',
    topic: 'bugs',
    text: 'Things that should count as equal are treated as different, or the other way round, near `{{ function }}` in `{{ file }}`. Please review the comparisons there and in its helpers.',
  },
  {
    id: 'regression-suspected',
    topic: 'bugs',
    text: 'After the last release somebody complained about behaviour that goes back to `{{ function }}` in `{{ file }}`. I have no more details. Please look through it and what it depends on.',
  },
  {
    id: 'empty-input',
    topic: 'edge cases',
    text: 'I doubt that `{{ function }}` in `{{ file }}` copes with empty input. Make it and the functions that feed it behave sensibly in that case.',
  },
  {
    id: 'missing-value',
    topic: 'edge cases',
    text: 'What happens when a value is missing on the way into `{{ function }}` in `{{ file }}`? Follow it through the callers and callees and make that case sound.',
  },
  {
    id: 'unusual-input',
    topic: 'edge cases',
    text: 'Unusual but legal input trips up `{{ function }}` in `{{ file }}`, or something it calls. Find such a case and handle it.',
  },
  {
    id: 'very-large-input',
    topic: 'edge cases',
    text: 'With very large input the code around `{{ function }}` in `{{ file }}` stops behaving well. Please see whether it, or what it calls, relies on things being small.',
  },
  {
    id: 'duplicates-handled-badly',
    topic: 'edge cases',
    text: 'Repeated entries are not treated well somewhere near `{{ function }}` in `{{ file }}`. Check it and its neighbours and settle what should happen.',
  },
  {
    id: 'negative-and-zero',
    topic: 'edge cases',
    text: 'Zero and negative values look like an afterthought in `{{ function }}` in `{{ file }}`. See what they do there and in the functions that call it, and repair what breaks.',
  },
  {
    id: 'nested-structures',
    topic: 'edge cases',
    text: 'Nested or self-referring data may not be handled properly by `{{ function }}` in `{{ file }}` or by the functions it leans on. Please check and improve it.',
  },
  {
    id: 'error-swallowed',
    topic: 'error handling',
    text: 'I believe an error gets lost somewhere around `{{ function }}` in `{{ file }}`. Look at how failures travel from its callees to its callers, and make them visible where they should be.',
  },
  {
    id: 'unhelpful-error',
    topic: 'error handling',
    text: 'When `{{ function }}` in `{{ file }}` fails, the message helps nobody. Improve what people learn from it, including the errors that come up from the functions it uses.',
  },
  {
    id: 'wrong-error-kind',
    topic: 'error handling',
    text: 'The kind of error that comes out of `{{ function }}` in `{{ file }}` does not fit its cause in every case. Please check which errors it and its callees raise and who handles them.',
  },
  {
    id: 'half-done-on-failure',
    topic: 'error handling',
    text: 'If something goes wrong halfway through `{{ function }}` in `{{ file }}`, what is left behind looks half finished. Make it, and the functions it works with, safe in that case.',
  },
  {
    id: 'catches-too-much',
    topic: 'error handling',
    text: 'Error handling near `{{ function }}` in `{{ file }}` is too broad or in the wrong place. Tidy it up together with that of its callers.',
  },
  {
    id: 'input-not-checked',
    topic: 'validation',
    text: 'Bad arguments get much too far before anyone notices, for example through `{{ function }}` in `{{ file }}`. Decide where they should be checked, there, in the callers or further down, and do it.',
  },
  {
    id: 'inconsistent-validation',
    topic: 'validation',
    text: 'What `{{ function }}` in `{{ file }}` accepts does not match what the functions around it accept. Bring them together.',
  },
  {
    id: 'hard-to-follow',
    topic: 'refactoring',
    text: 'I find `{{ function }}` in `{{ file }}` hard to follow. Make it, and whatever near it has the same problem, easier to read without changing what it does.',
  },
  {
    id: 'does-too-much',
    topic: 'refactoring',
    text: 'It looks to me as if `{{ function }}` in `{{ file }}` carries more than one responsibility. See whether part of it belongs elsewhere, and adjust its callers if so.',
  },
  {
    id: 'duplicated-logic',
    topic: 'refactoring',
    text: 'The same logic seems to exist twice, and one copy is in or near `{{ function }}` in `{{ file }}`. Find the repetition and remove it carefully.',
  },
  {
    id: 'deep-nesting',
    topic: 'refactoring',
    text: 'There is a lot of nesting around `{{ function }}` in `{{ file }}`. Please flatten it where that makes the flow clearer, in its helpers too, and keep the behaviour.',
  },
  {
    id: 'dead-code',
    topic: 'refactoring',
    text: 'Some of the code at `{{ function }}` in `{{ file }}`, or in what it calls, may no longer have any effect. Find out, and clean up what is really not needed.',
  },
  {
    id: 'magic-values',
    topic: 'refactoring',
    text: 'Literal values without explanation make `{{ function }}` in `{{ file }}` and its surroundings fragile. Give them a proper place.',
  },
  {
    id: 'tight-coupling',
    topic: 'refactoring',
    text: 'I have the feeling that `{{ function }}` in `{{ file }}` knows too much about the inside of other parts. Loosen that where it is easy to do, on either side of the call.',
  },
  {
    id: 'misleading-name',
    topic: 'naming',
    text: 'A name in or around `{{ function }}` in `{{ file }}` says something other than what it stands for. Please look at the names there and where they are used, and improve them.',
  },
  {
    id: 'unclear-names',
    topic: 'naming',
    text: 'The names used by `{{ function }}` in `{{ file }}` do not tell a newcomer much. Make them speak, consistently with its callers and callees, without breaking users of the code.',
  },
  {
    id: 'documentation-outdated',
    topic: 'documentation',
    text: 'The documentation near `{{ function }}` in `{{ file }}` and the code do not agree. Find out which of the two is right, look at what it calls as well, and bring them in line.',
  },
  {
    id: 'documentation-missing',
    topic: 'documentation',
    text: 'Nobody remembers what exactly `{{ function }}` in `{{ file }}` promises. Write that down for it and the functions it belongs with, and correct the code where it does not keep the promise.',
  },
  {
    id: 'types-imprecise',
    topic: 'typing',
    text: 'The types of what goes into and comes out of `{{ function }}` in `{{ file }}` are vaguer than they could be, or wrong. Please sharpen them and follow up in callers and callees.',
  },
  {
    id: 'type-confusion',
    topic: 'typing',
    text: 'A value of the wrong type gets into, or out of, `{{ function }}` in `{{ file }}` under some circumstances. Find where on the call path that can happen and prevent it.',
  },
  {
    id: 'slow-path',
    topic: 'performance',
    text: 'People say it has become slow, and `{{ function }}` in `{{ file }}` shows up when they measure. See whether it or something it calls does needless work.',
  },
  {
    id: 'repeated-work',
    topic: 'performance',
    text: 'The same thing seems to be computed over and over around `{{ function }}` in `{{ file }}`. Look at it and its callers and save the repeated work.',
  },
  {
    id: 'memory-growth',
    topic: 'performance',
    text: 'Memory use is higher than it should be when `{{ function }}` in `{{ file }}` is involved. Check what it and its callees keep or copy, and do better.',
  },
  {
    id: 'inconsistent-with-siblings',
    topic: 'API consistency',
    text: 'Compared with similar functions, `{{ function }}` in `{{ file }}` behaves a little differently for no good reason. Please bring it, or them, into line.',
  },
  {
    id: 'awkward-interface',
    topic: 'API consistency',
    text: 'Calling `{{ function }}` in `{{ file }}` correctly is harder than it needs to be, as its callers show. Improve its interface and keep old calls working.',
  },
  {
    id: 'return-value-varies',
    topic: 'API consistency',
    text: 'What comes back from `{{ function }}` in `{{ file }}` is not the same kind of thing on every path. Make it consistent, with an eye on its callers.',
  },
  {
    id: 'untested-behaviour',
    topic: 'tests',
    text: 'I do not trust the tests that touch `{{ function }}` in `{{ file }}`. See which behaviour, there or in its helpers, nobody checks, fix what turns out to be wrong and add what is missing.',
  },
  {
    id: 'hard-to-test',
    topic: 'tests',
    text: 'It is difficult to test `{{ function }}` in `{{ file }}` on its own. Rearrange it and the code it depends on a little so that it becomes easy.',
  },
  {
    id: 'logging-unhelpful',
    topic: 'logging',
    text: 'When we look into a problem near `{{ function }}` in `{{ file }}`, what the program reports says too little, too much or the wrong thing. Improve that there and in the functions it calls.',
  },
  {
    id: 'race-condition',
    topic: 'concurrency',
    text: 'Used from several places at once, `{{ function }}` in `{{ file }}` or something it shares with its callers may misbehave. Please examine and secure it.',
  },
  {
    id: 'reentrancy',
    topic: 'concurrency',
    text: 'I am not sure that it is safe when `{{ function }}` in `{{ file }}` is entered again, through a callback for example, before it has finished. Check that along the call path.',
  },
  {
    id: 'resource-not-released',
    topic: 'resources',
    text: 'Something that gets opened or reserved around `{{ function }}` in `{{ file }}` is perhaps not given back on every path. Follow it through callers and callees and make sure it is.',
  },
  {
    id: 'encoding-trouble',
    topic: 'encoding',
    text: 'Text that is not plain English comes out damaged, and `{{ function }}` in `{{ file }}` is one of the places it passes through. Look for the cause there and nearby.',
  },
  {
    id: 'whitespace-and-line-ends',
    topic: 'encoding',
    text: 'Blanks, tabs or line ends are not treated consistently near `{{ function }}` in `{{ file }}`. Check it and the functions it hands text to.',
  },
  {
    id: 'locale-and-time-zone',
    topic: 'internationalisation',
    text: 'There may be an assumption about language, region, calendar or time zone in `{{ function }}` in `{{ file }}`, or in what it relies on. Find it and remove it.',
  },
  {
    id: 'untrusted-data',
    topic: 'security',
    text: 'Data from outside may reach `{{ function }}` in `{{ file }}` without enough care. Look at the callers it comes from and the functions it goes on to, and make the way safe.',
  },
  {
    id: 'reveals-too-much',
    topic: 'security',
    text: 'I worry that more is revealed, or more is allowed, than intended through `{{ function }}` in `{{ file }}`. Check its surroundings and tighten what is too loose.',
  },
  {
    id: 'setting-ignored',
    topic: 'configuration',
    text: 'A setting does not seem to have its effect everywhere, and `{{ function }}` in `{{ file }}` is where I would begin to look. Check how it gets there from the callers, and what the functions below make of it.',
  },
  {
    id: 'hard-coded-assumption',
    topic: 'configuration',
    text: 'There is an assumption about the environment built into `{{ function }}` in `{{ file }}` or its helpers that will not hold everywhere. Please make it flexible, or at least safe.',
  },
  {
    id: 'platform-differences',
    topic: 'portability',
    text: 'On some machines the part around `{{ function }}` in `{{ file }}` behaves differently. See what it and the functions it uses take for granted, and even that out.',
  },
];

/**
 * The instructions of a batch: the catalogue with the user's texts added (an id of the catalogue replaces that text), or the
 * user's texts alone. Sorted by id, so the order in the YAML decides nothing. Throws PromptError for a text that does not use
 * exactly `{{ function }}` and `{{ file }}`, and when nothing is left.
 */
export function instructionsOf(config: BatchConfig['prompts']['instructions']): Instruction[] {
  const byId = new Map<string, Instruction>(
    config.replace ? [] : INSTRUCTIONS.map((instruction) => [instruction.id, instruction]),
  );
  for (const [id, text] of Object.entries(config.add)) {
    const instruction = { id, topic: 'user', text };
    renderInstruction(instruction, { name: 'name', file: 'file' });
    byId.set(id, instruction);
  }
  if (byId.size === 0) {
    throw new PromptError(
      'prompts.instructions: `replace` is set and `add` is empty, so no instruction is left; add at least one text',
    );
  }
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The sentence a teacher gets in rollout 1: the instruction about this function. Throws PromptError. */
export function renderInstruction(
  instruction: Instruction,
  target: { name: string; file: string },
): string {
  const template: Template = {
    name: `prompts.instructions.${instruction.id}`,
    text: instruction.text,
  };
  return render(template, { function: target.name, file: target.file });
}
