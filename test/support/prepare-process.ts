/** A process that prepares an image and can be killed: `prepare-process.ts INSTALLATION KEY SETUP…`. */

import { connectEngine } from '../../sandbox/engine.ts';
import { thisProcess, toIdentity } from '../../store/owner.ts';
import { prepareTree } from './sandbox-fixture.ts';

const [installation = '', key = '', ...setup] = process.argv.slice(2);
const engine = await connectEngine({ process: toIdentity(thisProcess()) });
await prepareTree(engine, installation, { 'a.txt': 'a\n' }, { key, setup });
