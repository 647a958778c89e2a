import { describeSavedTrees } from '../contracts/saved-tree.ts';
import { openPatchSuite } from '../support/patch-suite.ts';

const { start } = await openPatchSuite('saved-tree');

describeSavedTrees('a saved tree', start);
