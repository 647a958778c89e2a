/** What people read when an endpoint keeps calls waiting: what is wrong, and what to do about it. */

import type { Trouble } from './classify.ts';
import type { Endpoint } from './endpoint.ts';
import type { Hold } from './gate.ts';

/** Why no call of ours can begin at the endpoint. */
export function describeHold(endpoint: Endpoint, hold: Hold): string {
  const { host, config } = endpoint;
  switch (hold.kind) {
    case 'full':
      return (
        `All ${hold.limit} calls that this worker may have under way at the endpoint ${host} for ${config.model} are under way. ` +
        'The next one begins when one of them ends; a higher `maxConcurrency` allows more, where the endpoint can take them.'
      );
    case 'minute':
      return (
        `The endpoint ${host} gets no more calls for ${config.model} within this minute than \`requestsPerMinute\` and \`tokensPerMinute\` allow. ` +
        'Raise them if the endpoint allows more.'
      );
    case 'paused':
    case 'blocked':
      return describeTrouble(endpoint, hold.trouble);
  }
}

/** What went wrong with a call. */
export function describeTrouble({ host, config: { model } }: Endpoint, trouble: Trouble): string {
  const { kind, reason } = trouble;
  if (trouble.isOurs) return `There is no key to send to the endpoint ${host}: ${reason}.`;
  const said = `it said: ${reason}`;
  switch (kind) {
    case 'auth':
      return (
        `The endpoint ${host} refuses our key for ${model}; ${said}. ` +
        'Correct the file of `apiKeyFile`, and the batch goes on by itself; or the variable of `apiKeyEnv`, then run: twinpatch down && twinpatch up'
      );
    case 'no-credit':
      return (
        `The account at the endpoint ${host} has no credit left for ${model}; ${said}. ` +
        'The key is right: top the account up, or raise its limit, and the batch goes on by itself.'
      );
    case 'unknown-model':
      return (
        `The endpoint ${host} does not serve ${model}; ${said}. ` +
        'Compare `model` and `baseUrl` of the endpoint with what its /models lists, or load the model there.'
      );
    case 'rate-limit':
      return (
        `The endpoint ${host} limits our rate for ${model}; ${said}. ` +
        'It is tried again later; lower `maxConcurrency`, or `requestsPerMinute` and `tokensPerMinute`, avoid this.'
      );
    case 'unavailable':
      return (
        `The endpoint ${host} gives no usable reply for ${model}; ${reason}. ` +
        'It is tried again later; check that it runs and can be reached from this host.'
      );
    case 'context':
      return `The conversation is too long for ${model} at ${host}; ${said}.`;
    case 'bad-request':
      return (
        `The endpoint ${host} rejects the request for ${model}; ${said}. ` +
        'Check the settings under `teacher` against what the endpoint allows.'
      );
  }
}
