/** Short issue and pull-request texts about invented projects: examples of style and length for the synthetic pull request. */

import { isBenchmarkText } from './benchmark-texts.ts';
import type { BatchConfig } from './config.ts';
import { PromptError } from './prompts.ts';

export interface Demonstration {
  id: string;
  text: string;
}

export const DEMONSTRATIONS: readonly Demonstration[] = [
  {
    id: 'one-line-report',
    text: 'Trailing slash in the base path makes every generated link contain `//`.',
  },
  {
    id: 'one-line-wish',
    text: '`quern list --long` should show sizes in the same unit in every row.',
  },
  {
    id: 'terse-title-and-sentence',
    text: `Renaming a column loses its alignment

Right-aligned columns turn left-aligned once they have been renamed. Same with centred ones.`,
  },
  {
    id: 'bug-report-with-steps',
    text: `**Describe the problem**
Tags with an umlaut disappear from the tag cloud after an import.

**Steps to reproduce**
1. Create a note with the tag \`übung\`.
2. Export the notebook as a bundle.
3. Import the bundle into an empty notebook.

**Expected**
The tag cloud shows \`übung\` once.

**Actual**
The note still has the tag, but the cloud does not list it.

Marrow 3.2, Linux.`,
  },
  {
    id: 'user-question',
    text: `Is it intended that \`Basket.merge\` keeps the discount of the second basket only? I would have thought that the better one wins, or that both are kept. The manual says nothing about it, and I noticed only because a customer asked why her voucher was gone.`,
  },
  {
    id: 'maintainer-note',
    text: `We hand out the internal list of listeners from three accessors. Twice this month a plugin sorted that list in place and changed the order in which everybody else was called. Accessors should give callers something they can do with as they like, and this should be the same for all of them.`,
  },
  {
    id: 'checklist',
    text: `Loose ends of the new unit parser:

- [ ] \`12 m/s\` and \`12 m / s\` should mean the same
- [ ] an unknown unit names the unit in its message, not only the position
- [ ] an empty text is refused like any other text that holds no number
- [ ] prefixes are accepted in front of every unit that the table marks with them`,
  },
  {
    id: 'stack-trace-mention',
    text: `Opening an archive with zero members crashes the viewer.

\`\`\`
  File "galley/viewer.py", in show
    first = members[0]
IndexError: list index out of range
\`\`\`

Such archives are legal, our build makes one whenever nothing has changed. I'd expect an empty window, as with an empty folder.`,
  },
  {
    id: 'code-sample',
    text: `\`Interval.contains\` is wrong for open ends:

\`\`\`js
const span = new Interval({ from: 3 });
span.contains(3); // true, fine
span.contains(1e9); // false?
\`\`\`

Without an upper end everything from 3 on should be inside. The constructor accepts it, and printing shows \`3…\`, so I take it to be supported.`,
  },
  {
    id: 'two-paragraphs-behaviour',
    text: `When the upload of one picture fails, the whole album is marked as failed, although the remaining pictures have arrived. Starting it again then uploads everything a second time, and the album shows each of those pictures twice.

It would be enough for us if only the failed picture were tried again. The summary at the end should tell how many were new, how many were there already and how many could not be sent.`,
  },
  {
    id: 'three-paragraphs-story',
    text: `We run the scheduler of Tidewater for about forty laboratories, some of which close over the new year. For those, a closed week is entered in the calendar, and bookings that fall into it are supposed to be refused.

That works as long as a booking lies completely inside the closed week. A booking that begins on the Friday before and ends on the Tuesday of the closed week is accepted, and so is one that spans the week altogether. We found eleven of these last January, each with a person standing in front of a locked door.

I would expect every booking that shares so much as an hour with a closed period to be refused, with the same message that the simple case gives. It should make no difference whether the closure was entered as one period or as several days in a row, since the people at the desk do it both ways.`,
  },
  {
    id: 'performance-complaint',
    text: `Listing a project with 20,000 entries takes 40 seconds, 200 entries take none. It grows much faster than the number of entries. The entries themselves are tiny; nothing but the listing is slow, and asking for a single entry by id is instant.`,
  },
  {
    id: 'api-consistency',
    text: `\`store.read(key)\` gives \`null\` for an unknown key, \`store.readMany(keys)\` leaves it out of the result, and \`store.take(key)\` raises. Whatever the rule is, please make it one rule. Our wrappers have a special case for each.`,
  },
  {
    id: 'documentation-mismatch',
    text: `The manual says that \`pace\` is given in seconds. Going by how long it really waits it must be milliseconds, and \`pace=0\`, documented as "no waiting", waits for a whole default interval.`,
  },
  {
    id: 'error-message-wish',
    text: `Error messages of the settings loader

If a value is of the wrong kind, all I get is "invalid settings". We have 300 keys in four files. Could the message name the key, the file, and what was found there?`,
  },
  {
    id: 'regression',
    text: `Regression in 0.9: \`sum\` rows vanish when a table is grouped by two columns.

Worked in 0.8.4. Grouping by one column is still fine. With two, the sums of the inner groups are there and those of the outer groups are missing, including the grand total.`,
  },
  {
    id: 'environment-specific',
    text: `On a machine where the home directory lies on a network share, \`hazel init\` says that it cannot find its own template. The template is there and readable. Setting HAZEL_HOME to a local folder helps; setting it to another folder on the share does not.`,
  },
  {
    id: 'concurrency-report',
    text: `Two imports at the same time mix up their progress

Start two imports from different windows. Both bars run to 100 % about twice as fast as the work gets done, then jump back. The data is correct in the end. Only the reported progress is wrong, but our users cancel when they see it jump.`,
  },
  {
    id: 'refactoring-request',
    text: `The rules for rounding a price are spelled out in the invoice, in the reminder and in the export, and they have begun to differ: a price of 2.345 is 2.35 on the invoice and 2.34 in the export. There should be one place for them, and all three should use it. Where they differ today, the invoice is right.`,
  },
  {
    id: 'security-note',
    text: `A file name from an uploaded bundle ends up unchanged in the path we write to. With a bundle that has a member called \`../../notes/today.txt\`, I could replace a note outside of the import folder. Members like this should be refused before anything is written.`,
  },
  {
    id: 'expected-actual-table',
    text: `\`shorten(text, width)\` is off for some widths:

| text | width | expected | actual |
|---|---|---|---|
| \`lighthouse\` | 10 | \`lighthouse\` | \`lightho...\` |
| \`lighthouse\` | 5 | \`li...\` | \`li...\` |
| \`lighthouse\` | 2 | \`li\` | \`...\` |

The result should never be longer than the width, and a text that fits should be left alone.`,
  },
  {
    id: 'polite-newcomer',
    text: `Hello, and thank you for Copperline! I am new here, so please forgive me if this is known.

I tried to load a score with a repeat sign in the very first bar. It opens, but playing it jumps over that bar on the second pass. When I put an empty bar in front, everything is as it should be. I looked through the open issues and found only one about repeats at the end of a score.`,
  },
  {
    id: 'pull-request-summary',
    text: `Keep comments when settings are saved

So far saving drops every comment and sorts the keys. People who edit the file by hand lose their notes this way. After this change a file that is loaded and saved without changes is the same, byte for byte, and changing one key touches only its line.`,
  },
  {
    id: 'blunt-short',
    text: `Undo after paste is broken. It removes the pasted text and the character before it. Every time, any document.`,
  },
];

/**
 * The demonstrations of a batch: the built-in ones with the user's added (an id of ours replaces that text), or the user's
 * alone. Sorted by id, so the order in the YAML decides nothing. Throws PromptError when nothing is left, a text is blank, or one
 * is of an evaluation benchmark.
 */
export function demonstrationsOf(
  config: BatchConfig['prompts']['demonstrations'],
): Demonstration[] {
  const byId = new Map<string, Demonstration>(
    config.replace ? [] : DEMONSTRATIONS.map((demonstration) => [demonstration.id, demonstration]),
  );
  for (const [id, text] of Object.entries(config.add)) {
    if (text.trim() === '') {
      throw new PromptError(
        `prompts.demonstrations.${id}: the text is blank; write one or remove it`,
      );
    }
    if (isBenchmarkText(text)) {
      throw new PromptError(
        `prompts.demonstrations.${id}: the text is of an evaluation benchmark, which trained models are measured by; take one from elsewhere`,
      );
    }
    byId.set(id, { id, text });
  }
  if (byId.size === 0) {
    throw new PromptError(
      'prompts.demonstrations: `replace` is set and `add` is empty, so no example is left; add at least one text',
    );
  }
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
