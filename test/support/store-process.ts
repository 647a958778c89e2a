/**
 * Another process with the same store: `store-process.ts LOCATION ACTION ARGUMENTS` does one thing, prints what came of it as a
 * line of JSON, and then stays alive until it is killed, as an owner in the middle of its work.
 */

import { openStore } from '../../store/open.ts';
import { toReply, toSpendLine } from './paid-calls.ts';

const [location = '', action = '', ...rest] = process.argv.slice(2);
const [name = '', value = ''] = rest;
const store = await openStore(location);
/** Done once the line is handed over: a reader that is slow holds the writer up, instead of losing what a kill leaves unwritten. */
const say = (result: unknown) =>
  new Promise((resolve) => process.stdout.write(`${JSON.stringify(result)}\n`, resolve));

switch (action) {
  case 'put':
    await say(await store.ledger.put({ batchId: 'b', sampleKey: '000001-aaaaaa', name }, value));
    break;
  case 'claim':
    await say(await store.ledger.claim('b', name, value));
    break;
  case 'take': {
    // As an owner that got `value` replies further and then died.
    const lease = await store.leases.take(name);
    const journal = store.journals.of(lease);
    for (let step = 1; step <= Number(value); step += 1) await journal.append(toReply(step));
    await say(lease);
    break;
  }
  case 'append': {
    const journal = store.journals.of(await store.leases.take(name));
    for (let step = 1; ; step += 1) {
      await journal.append(toReply(step));
      await say(step);
    }
  }
  case 'spend':
    for (let call = 1; call <= Number(value); call += 1) {
      await store.spend.record(name, toSpendLine(0.25));
    }
    await say('done');
    break;
  case 'share':
    await say(await store.shares.take(name));
    break;
  case 'beat': {
    const rates = { inputTokensPerSecond: 10, outputTokensPerSecond: 1 };
    const pulse = { endpoint: 'e', model: 'm', callsUnderWay: Number(value), ...rates };
    await store.pulses.beat(name, [pulse]);
    await say('done');
    break;
  }
  case 'reserve': {
    const caps = { costUsd: 10, tokens: Infinity, hours: Infinity };
    const wish = { costUsd: Number(value), tokens: 0 };
    await say((await store.claims.claim(name, caps, wish))?.upTo.costUsd ?? 0);
    break;
  }
  case 'enter':
    await store.attempts.enter({ activity: 'rollout', workflowId: name, taskToken: name });
    await say('entered');
    break;
}
setInterval(() => undefined, 1000);
