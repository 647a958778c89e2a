/** What an export chooses by: conditions on each row's facts, then views that depend on the other rows, in this order. */

import type { Condition, Preference } from './conditions.ts';
import type { FactName } from './facts.ts';
import type { Kind } from './select.ts';
import type { Json } from './text.ts';
import { DEFAULT_TOKEN_BUDGET, estimateTokens, type CountTokens } from './tokens.ts';

export interface Views {
  /** A row meets all of them; each counts what it gets and what it leaves. */
  conditions: Condition[];
  /** Of rows whose patches are at least this similar, one stays; from 0.5 to 1. */
  distinctPatches: number | undefined;
  /** The same for what the teacher wrote. */
  distinctTrajectories: number | undefined;
  /** Rows about one function of one file, at whatever commit. */
  maxPerFunction: number | undefined;
  maxPerFile: number | undefined;
  /** Rows of a kind at most. */
  maxRows: Partial<Record<Kind, number>>;
  /** Rows that `maxRows` leaves are spread as evenly as can be over the values of this fact. */
  stratify: FactName | undefined;
  /** Share of the rows that goes to files of its own. */
  heldOut: number | undefined;

  /** Which rows go first in all of these; T2 goes before T1, and what is equal in the order of the seed. */
  prefer: Preference | undefined;
  seed: number;
  /** Tokens of the sequence that facts and `cut` mean. */
  tokenBudget: number;
  /** Rows end with the last reply within the budget. */
  cut: boolean;
  countTokens: CountTokens;
}

export const NO_VIEWS: Views = {
  conditions: [],
  distinctPatches: undefined,
  distinctTrajectories: undefined,
  maxPerFunction: undefined,
  maxPerFile: undefined,
  maxRows: {},
  stratify: undefined,
  heldOut: undefined,
  prefer: undefined,
  seed: 0,
  tokenBudget: DEFAULT_TOKEN_BUDGET,
  cut: false,
  countTokens: estimateTokens,
};

/** Between rows for training and held-out ones nothing is this similar. */
export const ALIKE = 0.8;

/** The views as a manifest shows them. */
export function toShownViews(views: Views): Record<string, Json> {
  const { prefer } = views;
  return {
    where: views.conditions.map(({ text }) => text),
    distinctPatches: views.distinctPatches ?? null,
    distinctTrajectories: views.distinctTrajectories ?? null,
    maxPerFunction: views.maxPerFunction ?? null,
    maxPerFile: views.maxPerFile ?? null,
    maxRows: { t1: views.maxRows.t1 ?? null, t2: views.maxRows.t2 ?? null },
    stratify: views.stratify ?? null,
    heldOut: views.heldOut ?? null,
    prefer: prefer === undefined ? null : `${prefer.fact}${prefer.least ? ':least' : ''}`,
    seed: views.seed,
    tokenBudget: views.tokenBudget,
    tokens: views.countTokens === estimateTokens ? 'estimated' : 'counted',
    cut: views.cut,
  };
}
