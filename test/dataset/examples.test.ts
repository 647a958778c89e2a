import { expect, test } from 'vitest';
import { readExample } from '../../dataset/examples.ts';
import { DEFAULT_CONVERSATION } from '../../dataset/conversation.ts';
import { recall, recallByFile } from '../../domain/recall.ts';
import { recallVariants } from '../../domain/recall-variants.ts';
import { NO_VIEWS } from '../../dataset/views.ts';
import { PATCH, sample, side } from './fixtures.ts';

test('a row carries what verification found, but the figures of single files', async () => {
  const exact = recall(PATCH, PATCH, 'exact');
  const files = recallByFile(PATCH, PATCH);
  const variants = recallVariants(PATCH, PATCH, files);
  const verified = sample('s1', {
    verification: async () => ({ exact, sera: exact, sameImage: true, files, variants }),
  });
  const read = await readExample(verified, side('s1/rollout-2.1'), {
    conversation: DEFAULT_CONVERSATION,
    views: NO_VIEWS,
  });
  expect(read).toMatchObject({
    written: {
      origin: {
        recall: { exact: 0.75, sera: 1 },
        provenance: {
          commit: 'abc',
          model: 'glm-4.6',
          verification: { exact: { precision: 1, f1: 1 }, variants, sameImage: true },
        },
      },
    },
  });
  expect(JSON.stringify(read)).not.toContain('"files"');
});
