/** Files of a sandbox, read, written and listed by its guest with the agent's rights. */

import { EngineUnavailable, type Entry, FileWriteRefused, type FileRead } from '../domain/ports.ts';
import type { GuestClient } from './guest-client.ts';
import { REQUEST } from './wire.ts';

const TIMEOUT_MS = 150_000;
/** A listing is for reading; a folder with more is cut. */
const MAX_LISTING_BYTES = 4 * 1024 ** 2;
/** Well below what a frame holds. */
const MAX_FILE_BYTES = 32 * 1024 ** 2;
const WRITE_ENDS = ['refused', 'done', 'no-room'] as const;
const KINDS: Record<string, Entry['kind']> = { f: 'file', d: 'directory', l: 'symlink' };

/** Reads at most `maxBytes`, and 32 MB, of a regular file from `offset` on. Throws SandboxLost and EngineUnavailable, as all of this file. */
export async function readFileIn(
  guest: GuestClient,
  path: string,
  maxBytes: number,
  offset = 0,
): Promise<FileRead> {
  if (!isPath(path)) return { kind: 'refused', reason: 'the path is not an absolute path' };
  return guest.ask(
    REQUEST.read,
    [{ text: path }, { u64: offset }, { u32: Math.min(maxBytes, MAX_FILE_BYTES) }],
    (body): FileRead => {
      const kind = body.u8();
      const size = body.u64();
      const bytes = body.bytes();
      switch (kind) {
        case 0:
          return {
            kind: 'file',
            bytes: new Uint8Array(bytes),
            size: Math.max(size, offset + bytes.length),
            truncated: size > offset + bytes.length,
          };
        case 1:
          return { kind: 'missing' };
        case 2:
          return { kind: 'directory' };
        default:
          return { kind: 'refused', reason: bytes.toString('utf8') };
      }
    },
    { timeoutMs: TIMEOUT_MS },
  );
}

/**
 * Puts bytes into a file, following links within the repository. Throws FileWriteRefused with the system's own reason, and
 * EngineUnavailable where the engine's disk is full.
 */
export async function writeFileIn(
  guest: GuestClient,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  if (!isPath(path)) throw new FileWriteRefused(`${JSON.stringify(path)} is not an absolute path`);
  if (bytes.length > MAX_FILE_BYTES)
    throw new FileWriteRefused(`${path}: larger than ${MAX_FILE_BYTES} bytes`);
  const { end, reason } = await guest.ask(
    REQUEST.write,
    [{ text: path }, { text: bytes }],
    (body) => ({ end: WRITE_ENDS[body.u8()], reason: body.text() }),
    { timeoutMs: TIMEOUT_MS },
  );
  if (end === 'no-room') {
    throw new EngineUnavailable(`The engine's disk is full; free some space, the work goes on.`);
  }
  if (end !== 'done') throw new FileWriteRefused(`${path}: ${reason}`);
}

/** Entries below a folder, or undefined when there is no such folder. */
export async function listIn(
  guest: GuestClient,
  path: string,
  depth: number,
): Promise<Entry[] | undefined> {
  if (!isPath(path)) return undefined;
  return guest.ask(
    REQUEST.list,
    [{ text: path }, { u32: depth }, { u32: MAX_LISTING_BYTES }],
    (body) => {
      if (body.u8() === 0) return undefined;
      const entries: Entry[] = [];
      while (body.left > 0) {
        const kind = KINDS[String.fromCharCode(body.u8())] ?? 'other';
        const size = body.u64();
        entries.push({ path: body.text(), kind, size: kind === 'other' ? 0 : size });
      }
      return entries.sort((a, b) => (a.path < b.path ? -1 : 1));
    },
    { timeoutMs: TIMEOUT_MS },
  );
}

// --- internal ---

function isPath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= 4096;
}
