/** From the options of the command line to those of a reading of samples. */

import { DEFAULT_CONVERSATION } from '../dataset/conversation.ts';
import type { SurveyOptions } from '../dataset/survey.ts';
import { NO_VIEWS } from '../dataset/views.ts';
import type { SelectionOptions } from './selection-options.ts';

export function toSurveyOptions(options: SelectionOptions): Omit<SurveyOptions, 'planned'> {
  return {
    minRecall: options.minRecall,
    recallMode: options.recallMode,
    endStatus: options.endStatus ?? ['submitted'],
    conversation: {
      chatTokens: options.chatTokens ?? DEFAULT_CONVERSATION.chatTokens,
      maskFailed: options.maskFailed ?? DEFAULT_CONVERSATION.maskFailed,
      ...(options.secrets !== undefined && { secrets: options.secrets }),
    },
    views: {
      conditions: options.where ?? NO_VIEWS.conditions,
      distinctPatches: options.distinctPatches,
      distinctTrajectories: options.distinctTrajectories,
      maxPerFunction: options.maxPerFunction,
      maxPerFile: options.maxPerFile,
      maxRows: {
        ...(options.t1Rows !== undefined && { t1: options.t1Rows }),
        ...(options.t2Rows !== undefined && { t2: options.t2Rows }),
      },
      stratify: options.stratify,
      prefer: options.prefer,
      heldOut: options.heldOut,
      seed: options.seed ?? NO_VIEWS.seed,
      tokenBudget: options.tokenBudget ?? NO_VIEWS.tokenBudget,
      cut: options.cut ?? NO_VIEWS.cut,
      countTokens: NO_VIEWS.countTokens,
    },
  };
}
