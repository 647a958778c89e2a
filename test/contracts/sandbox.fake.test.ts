import { createFakeSandbox } from '../support/fake-sandbox.ts';
import { describeSandbox } from './sandbox-contract.ts';
import { describeFiles } from './sandbox-files.ts';

describeSandbox('the fake sandbox', () => createFakeSandbox());
describeFiles('files of the fake sandbox', () => createFakeSandbox());
