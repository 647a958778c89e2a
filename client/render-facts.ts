/** What verification recorded of a sample, in lines for a person. */

import type { PatchFacts } from '../domain/patch-facts.ts';
import type { VerificationFacts } from '../domain/verification.ts';

/** A line for each group of facts that is there. */
export function renderFacts(facts: Partial<VerificationFacts>): string[] {
  const { variants, target, produced, judgement, behaviour, leak } = facts;
  const lines: string[] = [];
  if (variants !== undefined) {
    const shares = Object.entries(variants).map(
      ([name, { recall }]) => `${toWords(name)} ${toShare(recall)}`,
    );
    lines.push(`recall     ${shares.join(', ')}`);
  }
  if (target !== undefined) lines.push(`target     ${describePatch(target).join(', ')}`);
  if (produced !== undefined) {
    const judged =
      judgement === undefined
        ? []
        : [
            judgement.applies ? 'applies' : 'does not apply',
            ...(judgement.parses === true ? ['parses'] : []),
            ...(judgement.parses === false
              ? [`does not parse: ${judgement.unparsable.join(', ')}`]
              : []),
          ];
    lines.push(`produced   ${[...describePatch(produced), ...judged].join(', ')}`);
  }
  if (behaviour !== undefined) {
    const { rollout1, rollout2, shared } = behaviour;
    lines.push(
      `behaviour  ${rollout1.steps} and ${rollout2.steps} steps; shared: files read ${toShare(shared.filesRead)}, files edited ${toShare(shared.filesEdited)}, actions ${toShare(shared.actions)}`,
    );
  }
  if (leak) {
    const { given, ...shares } = leak;
    const parts = Object.entries(shares).map(([name, share]) => `${name} ${toShare(share)}`);
    const what = given.length === 0 ? '' : `; given away: ${given.join(' | ')}`;
    lines.push(`leak       ${parts.join(', ')}${what}`);
  }
  return lines;
}

// --- internal ---

function describePatch(patch: PatchFacts): string[] {
  const kinds = Object.entries(patch.kinds).flatMap(([kind, count]) =>
    count > 0 ? [`${count} ${kind}`] : [],
  );
  return [
    `+${patch.added} -${patch.removed} in ${patch.files === 1 ? 'a file' : `${patch.files} files`} (${kinds.join(', ')})`,
    patch.touchesTarget ? 'touches the function' : 'does not touch the function',
    ...(patch.whitespaceOnly ? ['whitespace only'] : []),
    ...(patch.leftoverScripts > 0 ? [`leftover scripts ${patch.leftoverScripts}`] : []),
    ...(patch.deletedTests > 0 ? [`deleted tests ${patch.deletedTests}`] : []),
    ...(patch.rewritten > 0 ? [`rewritten files ${patch.rewritten}`] : []),
  ];
}

/** `withoutTests` is `without tests`. */
function toWords(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function toShare(share: number | null): string {
  return share === null ? 'none' : share.toFixed(2);
}
