/** The scripted teacher behind an endpoint that misbehaves in every way that users have met. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseJson } from '../../teacher/json.ts';
import { answer, type Character } from '../../teacher/scripted/answer.ts';
import {
  chance,
  parseRequest,
  type ScriptedRequest,
  toChunks,
} from '../../teacher/scripted/wire.ts';
import {
  type Asked,
  type Fault,
  type FaultClass,
  FAULTS,
  type Kind,
  ODD_TEXTS,
  sendError,
  sendStream,
} from './teacher-faults.ts';

export interface Misbehaving {
  baseUrl: string;
  /** Requests by what became of them, and replies that were generated for a conversation that had one. */
  counts: Record<Kind | 'good' | 'again', number>;
  /** Names of the faults there were. */
  faults: Set<string>;
  close(): Promise<void>;
}

/** So many of the requests meet a fault of these classes. `rotateKey` returns the only key that is taken from then on. */
export async function startMisbehavingTeacher(options: {
  character: Character;
  classes: readonly FaultClass[];
  rate: number;
  rotateKey: () => string;
}): Promise<Misbehaving> {
  const { character, classes, rate } = options;
  const counts = { refused: 0, cut: 0, odd: 0, turn: 0, good: 0, again: 0 };
  const faults = new Set<string>();
  const tries = new Map<string, number>();
  const generated = new Set<string>();
  let key = options.rotateKey();

  async function respond(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const parsed = parseRequest(parseJson(body.toString()));
    if (parsed === undefined) throw new Error('no messages');
    if (incoming.headers.authorization !== `Bearer ${key}`)
      return sendError(response, 401, 'wrong key');

    const id = createHash('sha256').update(body).digest('hex');
    const nth = (tries.get(id) ?? 0) + 1;
    tries.set(id, nth);
    const { messages, isAfterOddTurn } = withoutOddTurns(parsed);
    const request = { ...parsed, messages };
    const asked = { request, reply: answer(request, character), random: chance(id, nth, 'how') };
    const fault =
      chance(id, nth, 'whether') < rate
        ? pickFault(classes, chance(id, nth, 'which'), asked, isAfterOddTurn)
        : undefined;
    counts[fault?.kind ?? 'good'] += 1;
    if (fault !== undefined) faults.add(fault.name);
    if (fault?.kind !== 'refused') {
      if (generated.has(id)) counts.again += 1;
      generated.add(id);
    }
    if (fault?.name === 'a rotated key') key = options.rotateKey();
    if (fault === undefined) sendStream(response, toChunks(request, asked.reply));
    else await fault.respond(response, asked);
  }

  const server = createServer((incoming, response) => {
    respond(incoming, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    counts,
    faults,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

// --- internal ---

function pickFault(
  classes: readonly FaultClass[],
  random: number,
  { reply, request }: Asked,
  isAfterOddTurn: boolean,
): Fault | undefined {
  const name = classes[Math.floor(random * classes.length)] ?? 'L1';
  const fitting = FAULTS[name].filter(({ kind, ...fault }) => {
    // Outside a rollout the same question would be asked again; three of them in a row end one.
    if (kind === 'turn' && (!request.hasTools || isAfterOddTurn)) return false;
    return !('needsCall' in fault) || reply.calls.length > 0;
  });
  return fitting[Math.floor(((random * classes.length) % 1) * fitting.length)];
}

/** The conversation as it would have been without the odd turns and what they were answered. */
function withoutOddTurns({ messages }: ScriptedRequest) {
  const kept: typeof messages = [];
  let isOdd = false;
  for (const message of messages) {
    if (message.role === 'assistant') isOdd = ODD_TEXTS.has(message.content);
    if (!isOdd) kept.push(message);
  }
  return { messages: kept, isAfterOddTurn: isOdd };
}
