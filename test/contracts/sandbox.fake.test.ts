import { createFakeSandbox } from '../support/fake-sandbox.ts';
import { describeSandbox } from './sandbox-contract.ts';

describeSandbox('the fake sandbox', () => createFakeSandbox());
