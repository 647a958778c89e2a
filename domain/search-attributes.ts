/** Search attributes of the workflows: registered by `up`, checked by `doctor`, set by the workflows. */

export const SEARCH_ATTRIBUTES = {
  TwinpatchBatch: 'Keyword',
  TwinpatchStage: 'Keyword',
  TwinpatchOutcome: 'Keyword',
  TwinpatchRepo: 'Keyword',
  TwinpatchFailure: 'Keyword',
  TwinpatchCostUsd: 'Double',
  TwinpatchRecall: 'Double',
  TwinpatchTokens: 'Int',
} as const;

export type SearchAttribute = keyof typeof SEARCH_ATTRIBUTES;
