/** The workflow types: every export here is registered under its name. */

export { batchWorkflow } from './batch.ts';
export { sampleWorkflow } from './sample.ts';
export { verifyWorkflow } from './verify.ts';
