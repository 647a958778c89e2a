/** The search attributes as typed keys. */

import { defineSearchAttributeKey } from '@temporalio/common';

export const BATCH = defineSearchAttributeKey('TwinpatchBatch', 'KEYWORD');
export const STAGE = defineSearchAttributeKey('TwinpatchStage', 'KEYWORD');
export const OUTCOME = defineSearchAttributeKey('TwinpatchOutcome', 'KEYWORD');
export const REPO = defineSearchAttributeKey('TwinpatchRepo', 'KEYWORD');
export const FAILURE = defineSearchAttributeKey('TwinpatchFailure', 'KEYWORD');
export const COST_USD = defineSearchAttributeKey('TwinpatchCostUsd', 'DOUBLE');
export const RECALL = defineSearchAttributeKey('TwinpatchRecall', 'DOUBLE');
export const TOKENS = defineSearchAttributeKey('TwinpatchTokens', 'INT');
