/** Prepares the sample's image on this host. */

import type { CheckoutResult } from '../domain/sample.ts';
import { imageKey, stageName } from '../domain/stage-key.ts';
import { limitsOf, type RolloutDeps } from './deps.ts';
import { readSample, runStage, type StageInput } from './stage.ts';

export function createCheckout({ store, hash, images }: RolloutDeps) {
  /** Returns the prepared image of the sample; builds it when this host does not have it. */
  return function checkout(input: StageInput): Promise<CheckoutResult> {
    return runStage('preparing the image', async ({ signal }) => {
      const { batch, sample } = await readSample(store, input);
      const { environment } = batch.config;
      const key = imageKey(environment, sample, hash);
      // Asked even when the ledger knows the stage: the image may have been removed from this host since.
      const { imageId, warnings } = await images.prepare(
        {
          key,
          base:
            environment.dockerfile === undefined
              ? { image: environment.image }
              : { dockerfile: environment.dockerfile },
          snapshot: () => store.blobs.stream(sample.snapshot),
          setup: environment.setup,
          limits: limitsOf(environment),
          setupTimeoutMs: environment.setupTimeoutMs,
        },
        signal,
      );
      const name = stageName('checkout', { key, imageId }, hash);
      const result: CheckoutResult = {
        key: name,
        imageId,
        imageKey: key,
        ...(warnings.length > 0 && { warnings }),
      };
      return store.ledger.put({ batchId: input.batchId, sampleKey: input.sampleKey, name }, result);
    });
  };
}
