/** Frames between a worker and its guest, as both sides read them. */

import { execFileSync } from 'node:child_process';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  type BodyReader,
  createBodyReader,
  createFrameReader,
  type Field,
  MAX_FRAME_BYTES,
  toFrame,
} from '../../sandbox/wire.ts';
import { count } from '../support/counts.ts';
import { guestFuzz } from '../support/guest-build.ts';

const field = fc.oneof<fc.Arbitrary<Field>[]>(
  fc.nat(0xffff_ffff).map((u32) => ({ u32 })),
  fc.maxSafeNat().map((u64) => ({ u64 })),
  fc.uint8Array({ maxLength: 40 }).map((text) => ({ text })),
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => ({ text })),
);
const frame = fc.record({
  type: fc.nat(255),
  tag: fc.nat(0xffff_ffff),
  fields: fc.array(field, { maxLength: 6 }),
});

/** What a reader makes of pieces: each frame's type, tag and body, and what it threw. */
function readAll(pieces: Buffer[]): { frames: [number, number, BodyReader][]; error?: unknown } {
  const frames: [number, number, BodyReader][] = [];
  const read = createFrameReader(({ type, tag, body }) => frames.push([type, tag, body]));
  try {
    for (const piece of pieces) read(piece);
    return { frames };
  } catch (error) {
    return { frames, error };
  }
}

function readField(body: BodyReader, field: Field): Field {
  if ('u32' in field) return { u32: body.u32() };
  if ('u64' in field) return { u64: body.u64() };
  return { text: typeof field.text === 'string' ? body.text() : new Uint8Array(body.bytes()) };
}

describe('a frame', () => {
  it('is read as it was written, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 30 })),
        (written, sizes) => {
          const bytes = Buffer.concat(
            written.map(({ type, tag, fields }) => toFrame(type, tag, fields)),
          );
          const pieces: Buffer[] = [];
          for (let at = 0; at < bytes.length; at += pieces.at(-1)?.length ?? 1)
            pieces.push(bytes.subarray(at, at + (sizes.next().value ?? 1)));
          const { frames } = readAll(pieces);
          const seen = frames.map(([type, tag, body], index) => ({
            type,
            tag,
            fields: written[index]?.fields.map((one) => readField(body, one)),
          }));
          expect(seen).toEqual(written);
          expect(frames.map(([, , body]) => body.left)).toEqual(written.map(() => 0));
        },
      ),
    );
  });

  it('is not there before its last byte', () => {
    fc.assert(
      fc.property(frame, ({ type, tag, fields }) => {
        const bytes = toFrame(type, tag, fields);
        for (let end = 0; end <= bytes.length; end++) {
          const { frames } = readAll([bytes.subarray(0, end), bytes.subarray(end)].slice(0, 1));
          expect(frames).toHaveLength(end === bytes.length ? 1 : 0);
          expect(readAll([bytes.subarray(0, end), bytes.subarray(end)]).frames).toHaveLength(1);
        }
      }),
      { numRuns: 30 },
    );
  });

  it.each([0, 1, 4, MAX_FRAME_BYTES + 10, 2 ** 31, 2 ** 32 - 1])(
    'of length %i is refused at its first bytes',
    (length) => {
      const bytes = Buffer.alloc(9);
      bytes.writeUInt32LE(length);
      expect(readAll([bytes]).error).toBeInstanceOf(RangeError);
    },
  );

  it('that is longer than the guest takes is not written', () => {
    const text = Buffer.alloc(MAX_FRAME_BYTES);
    expect(() => toFrame(2, 1, [{ text }])).toThrow(RangeError);
  });

  it('of rubbish gives frames or is refused, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (pieces) => {
        const { error } = readAll(pieces.map((piece) => Buffer.from(piece)));
        expect(error === undefined || error instanceof RangeError).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('with a body that ends too early is refused where it is read', () => {
    fc.assert(
      fc.property(frame, fc.nat(), ({ fields }, cut) => {
        const body = toFrame(1, 1, fields).subarray(9);
        fc.pre(body.length > 0);
        const reader = createBodyReader(body.subarray(0, cut % body.length));
        expect(() => fields.forEach((one) => readField(reader, one))).toThrow(RangeError);
      }),
    );
  });
});

describe('guestd', () => {
  it('answers a good owner after whatever it was sent, and reads nothing that is not there', () => {
    const cases = count(200_000, 10_000_000);
    const said = execFileSync(guestFuzz(), ['1', String(cases)], { encoding: 'utf8' });
    expect(said).toMatch(new RegExp(`^${cases} cases, \\d{5,} answers\\n$`));
  }, 900_000);
});
