/** Frames between a worker and its guest; `guest/wire.h` says the same in C, with what each request and reply holds. */

export const WIRE_VERSION = 1;
export const MAX_FRAME_BYTES = 64 * 1024 ** 2;
const HEADER_BYTES = 9;

export const REQUEST = {
  hello: 1,
  run: 2,
  acknowledge: 3,
  read: 4,
  write: 5,
  list: 6,
  stop: 7,
  stat: 8,
  changes: 9,
  fetch: 10,
  usage: 11,
  limit: 12,
  places: 13,
  save: 14,
  restore: 15,
  end: 16,
} as const;
export type RequestType = (typeof REQUEST)[keyof typeof REQUEST];

export const REPLY_OK = 64;
export const REPLY_ERROR = 65;

export const GUEST_ERROR = {
  protocol: 1,
  stale: 2,
  stopped: 3,
  forgotten: 4,
  noShell: 5,
  interrupted: 6,
  tooMuch: 7,
  unreadable: 8,
} as const;

/** One field of a frame's body. */
export type Field = { u32: number } | { u64: number } | { text: string | Uint8Array };

export interface Frame {
  type: number;
  tag: number;
  body: BodyReader;
}

/** A whole frame. */
export function toFrame(type: number, tag: number, fields: Field[]): Buffer {
  const parts = fields.map(toBytes);
  const length = parts.reduce((sum, part) => sum + part.length, HEADER_BYTES);
  if (length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${length} bytes`);
  const frame = Buffer.allocUnsafe(length);
  frame.writeUInt32LE(length - 4, 0);
  frame.writeUInt8(type, 4);
  frame.writeUInt32LE(tag, 5);
  let at = HEADER_BYTES;
  for (const part of parts) at += part.copy(frame, at);
  return frame;
}

/** Takes pieces of a stream and gives its whole frames. Throws RangeError for what is no frame. */
export function createFrameReader(onFrame: (frame: Frame) => void): (piece: Buffer) => void {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let needed = HEADER_BYTES;
  return (piece) => {
    waiting.push(piece);
    waitingBytes += piece.length;
    if (waitingBytes < needed) return;
    let bytes = waiting.length === 1 ? piece : Buffer.concat(waiting, waitingBytes);
    for (;;) {
      needed = HEADER_BYTES;
      if (bytes.length < needed) break;
      const length = bytes.readUInt32LE(0);
      if (length < HEADER_BYTES - 4 || length > MAX_FRAME_BYTES + HEADER_BYTES)
        throw new RangeError(`a frame of ${length} bytes`);
      needed = length + 4;
      if (bytes.length < needed) break;
      onFrame({
        type: bytes.readUInt8(4),
        tag: bytes.readUInt32LE(5),
        body: createBodyReader(bytes.subarray(HEADER_BYTES, needed)),
      });
      bytes = bytes.subarray(needed);
    }
    waiting = bytes.length === 0 ? [] : [bytes];
    waitingBytes = bytes.length;
  };
}

/** Reads the fields of a body in order. Throws RangeError past its end. */
export interface BodyReader {
  readonly left: number;
  u8(): number;
  u32(): number;
  u64(): number;
  bytes(): Buffer;
  /** The bytes as UTF-8, with replacements. */
  text(): string;
  /** All that is left. */
  rest(): Buffer;
}

export function createBodyReader(body: Buffer): BodyReader {
  let at = 0;
  const skip = (length: number) => {
    if (at + length > body.length) throw new RangeError('a frame that ends too early');
    at += length;
    return at - length;
  };
  const reader: BodyReader = {
    get left() {
      return body.length - at;
    },
    u8: () => body.readUInt8(skip(1)),
    u32: () => body.readUInt32LE(skip(4)),
    u64: () => Number(body.readBigUInt64LE(skip(8))),
    bytes() {
      const length = reader.u32();
      const from = skip(length);
      return body.subarray(from, from + length);
    },
    text: () => reader.bytes().toString('utf8'),
    rest: () => body.subarray(skip(reader.left)),
  };
  return reader;
}

// --- internal ---

function toBytes(field: Field): Buffer {
  if ('u32' in field) {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(field.u32);
    return bytes;
  }
  if ('u64' in field) {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigUInt64LE(BigInt(field.u64));
    return bytes;
  }
  const text =
    typeof field.text === 'string' ? Buffer.from(field.text, 'utf8') : Buffer.from(field.text);
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([length, text]);
}
