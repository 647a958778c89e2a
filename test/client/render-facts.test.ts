import { expect, test } from 'vitest';
import { renderFacts } from '../../client/render-facts.ts';
import { patchFacts } from '../../domain/patch-facts.ts';
import { recallVariants } from '../../domain/recall-variants.ts';

const PATCH = '--- a/a.py\n+++ b/a.py\n@@ -2 +2 @@\n-x\n+y\n';
const patch = patchFacts(PATCH, { file: 'a.py', startLine: 1, endLine: 5 });

test('facts are told in a line for each group', () => {
  expect(
    renderFacts({
      variants: recallVariants(PATCH, '', []),
      target: patch,
      produced: { ...patch, touchesTarget: false, deletedTests: 2 },
      judgement: { applies: true, parses: false, unparsable: ['a.py'] },
      behaviour: {
        rollout1: { steps: 9, failed: 0, filesRead: 2, filesEdited: 1 },
        rollout2: { steps: 7, failed: 1, filesRead: 0, filesEdited: 0 },
        shared: { filesRead: 0.5, filesEdited: null, actions: 0.25 },
      },
      leak: {
        score: 0.5,
        lines: 0,
        code: 0,
        identifiers: 1,
        literals: 0,
        positions: 0,
        given: ['new_name'],
      },
    }),
  ).toEqual([
    'recall     without tests 0.00, without docs 0.00, without generated 0.00, core 0.00, same file none, without moved 0.00, ignoring whitespace 0.00',
    'target     +1 -1 in a file (1 source), touches the function',
    'produced   +1 -1 in a file (1 source), does not touch the function, deleted tests 2, applies, does not parse: a.py',
    'behaviour  9 and 7 steps; shared: files read 0.50, files edited none, actions 0.25',
    'leak       score 0.50, lines 0.00, code 0.00, identifiers 1.00, literals 0.00, positions 0.00; given away: new_name',
  ]);
});

test('facts of an earlier version are told as far as they go', () => {
  expect(renderFacts({ target: patch })).toEqual([
    'target     +1 -1 in a file (1 source), touches the function',
  ]);
});
