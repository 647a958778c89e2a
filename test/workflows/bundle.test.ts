import { expect, test } from 'vitest';
import { bundleWorkflows } from '../../worker/build-bundle.ts';

test('the workflow bundle has both workflows, and nothing that only Node has', async () => {
  const code = await bundleWorkflows();
  expect(code).toContain('batchWorkflow');
  expect(code).toContain('sampleWorkflow');
  expect(code).not.toMatch(/require\(["'](node:|fs|crypto|path|child_process|os)/);
  expect(code.length).toBeLessThan(6_000_000);
});
