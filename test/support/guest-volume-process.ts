/** Another process that needs guestd's volume: `guest-volume-process.ts INSTALLATION IMAGE`; says when it begins, then the name. */

import { connectEngine } from '../../sandbox/engine.ts';
import { ensureGuestVolume } from '../../sandbox/guest-volume.ts';

const [installation = '', imageId = ''] = process.argv.slice(2);
const engine = await connectEngine();
process.stdout.write('begins\n');
process.stdout.write(`${await ensureGuestVolume(engine, installation, imageId)}\n`);
