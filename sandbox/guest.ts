/** The connection to a sandbox's guest: one relay, requests and replies matched by tag. */

import type { Duplex } from 'node:stream';

import { AGENT_UID, GUEST_FOLDER } from '../domain/ids.ts';
import type { Engine } from './engine.ts';
import { createDemultiplexer, startExec } from './exec.ts';
import {
  type BodyReader,
  createFrameReader,
  type Field,
  REPLY_OK,
  REQUEST,
  type RequestType,
  toFrame,
  WIRE_VERSION,
} from './wire.ts';

/** The tag of a last frame that answers nothing: the guest lets go of this owner. */
const NO_REQUEST = 0;
const HELLO_TIMEOUT_MS = 30_000;

/** The guest refused a request; `code` is one of GUEST_ERROR. */
export class GuestRefused extends Error {
  override readonly name = 'GuestRefused';
  readonly code: number;
  constructor(code: number, reason: string) {
    super(reason);
    this.code = code;
  }
}

/** The connection ended: its relay, the container, the engine or another owner. Whatever was asked may have happened. */
export class GuestGone extends Error {
  override readonly name = 'GuestGone';
}

export interface GuestOwner {
  epoch: number;
  leaseMs: number;
  /** All that the commands in it start with. */
  environment: Record<string, string>;
}

export interface GuestConnection {
  /** Sends a request and reads its reply. Throws GuestRefused, GuestGone. */
  request<T>(type: RequestType, fields: Field[], read: (body: BodyReader) => T): Promise<T>;
  /** Sends what is never answered. */
  tell(type: RequestType, fields: Field[]): void;
  readonly isOpen: boolean;
  close(): void;
}

/** The program and arguments of a sandbox's first process. It ends itself when no owner comes for `leaseMs`. */
export function toGuestCommand(leaseMs: number): string[] {
  return [`${GUEST_FOLDER}/guestd`, 'serve', String(AGENT_UID), String(leaseMs)];
}

/**
 * Connects to the guest of a running container as the owner of an epoch, which ends the connection of any owner before.
 * `environment` is what the agent's commands start with; `stdio` is the stream of whoever started the container. Throws GuestRefused ('stale': a newer epoch was there), GuestGone,
 * EngineUnavailable, and the engine's answers with a status (404, 409).
 */
export async function connectGuest(
  engine: Engine,
  container: string,
  owner: GuestOwner,
  stdio?: Duplex,
): Promise<GuestConnection> {
  const stream = stdio ?? (await startRelay(engine, container));
  const connection = overStream(stream, container);
  const timer = setTimeout(() => connection.close(), HELLO_TIMEOUT_MS);
  const environment = Object.entries(owner.environment);
  try {
    await connection.request(
      REQUEST.hello,
      [
        { u32: WIRE_VERSION },
        { u64: owner.epoch },
        { u32: owner.leaseMs },
        { u32: environment.length },
        ...environment.map(([name, value]) => ({ text: `${name}=${value}` })),
      ],
      () => undefined,
    );
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

// --- internal ---

async function startRelay(engine: Engine, container: string): Promise<Duplex> {
  const command = [`${GUEST_FOLDER}/guestd`, 'relay'];
  const { stream } = await startExec(engine, container, {
    command,
    user: '0:0',
    workingDirectory: '/',
  });
  return stream;
}

interface Pending {
  resolve(body: BodyReader): void;
  reject(error: Error): void;
}

function overStream(stream: Duplex, container: string): GuestConnection {
  const pending = new Map<number, Pending>();
  let tags = 0;
  let isOpen = true;
  let complaint = '';

  function end(error?: Error): void {
    if (!isOpen) return;
    isOpen = false;
    const said = complaint.trim() || error?.message || 'its stream ended';
    const gone = new GuestGone(
      `The connection to sandbox ${container.slice(0, 12)} ended: ${said.slice(0, 500)}`,
      { cause: error },
    );
    for (const { reject } of pending.values()) reject(gone);
    pending.clear();
    stream.destroy();
  }

  const read = createFrameReader(({ type, tag, body }) => {
    if (tag === NO_REQUEST) return end(new GuestRefused(body.u32(), body.text()));
    const asked = pending.get(tag);
    pending.delete(tag);
    if (type === REPLY_OK) asked?.resolve(body);
    else asked?.reject(new GuestRefused(body.u32(), body.text()));
  });
  const demultiplex = createDemultiplexer((from, piece) => {
    if (from === 'stdout') read(piece);
    else if (complaint.length < 1000) complaint += piece.toString('utf8');
  });
  stream.on('data', (piece: Buffer) => {
    try {
      demultiplex(piece);
    } catch (error) {
      end(error as Error);
    }
  });
  stream.on('error', end);
  stream.on('end', () => end());
  stream.on('close', () => end());
  if (stream.destroyed || stream.readableEnded) end(); // it ended before anybody listened

  const send = (type: number, fields: Field[]): number => {
    const tag = (tags = (tags % 0xffff_fffe) + 1);
    stream.write(toFrame(type, tag, fields));
    return tag;
  };
  return {
    request<T>(type: RequestType, fields: Field[], readBody: (body: BodyReader) => T): Promise<T> {
      return new Promise<BodyReader>((resolve, reject) => {
        if (!isOpen) {
          reject(new GuestGone(`The connection to sandbox ${container.slice(0, 12)} is closed.`));
          return;
        }
        pending.set(send(type, fields), { resolve, reject });
      }).then(readBody);
    },
    tell: (type, fields) => {
      if (isOpen) send(type, fields);
    },
    get isOpen() {
      return isOpen;
    },
    close: () => end(),
  };
}
