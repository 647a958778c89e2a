/** One command of the agent as a request to its guest, and the answer. */

import { type CommandRequest, type CommandResult, SandboxLost } from '../domain/ports.ts';
import { parseShell, renderShell } from './shell.ts';
import type { BodyReader, Field } from './wire.ts';

const ENDS = ['exited', 'timed-out', 'oom', 'disk', 'disk-limit', 'no-room'] as const;
const NO_CODE = 0xffff_ffff;

/** What the guest is asked to run. A NUL can't be part of a shell's text, and is left out. */
export function toRunFields(request: CommandRequest): Field[] {
  const { head, tail } = outputShares(request.maxOutputBytes);
  return [
    { text: request.id },
    { u32: Math.max(1, Math.round(request.timeoutMs)) },
    { u32: head },
    { u32: tail },
    { text: renderShell(request.shell) },
    { text: request.command.replaceAll('\0', '') },
  ];
}

/**
 * The result in the guest's answer. Throws RangeError for what is none, and SandboxLost for a command that failed while the
 * engine's disk was full: that says nothing about the command, but it may have left anything behind.
 */
export function readResult(
  body: BodyReader,
  request: CommandRequest,
  environment: Record<string, string>,
): CommandResult {
  const end = ENDS[body.u8()];
  const code = body.u32();
  const outputBytes = body.u64();
  const kept = Buffer.concat([body.bytes(), body.bytes()]);
  const background = body.u8() === 1;
  const state = body.bytes();
  const durationMs = body.u64() / 1000;
  const joined = joinOutput(kept, outputBytes, request.maxOutputBytes);
  if (end === undefined || joined === undefined)
    throw new RangeError('an answer that contradicts itself');
  if (end === 'no-room') throw new SandboxLost("A command had no room: the engine's disk is full.");
  return {
    end,
    exitCode: code === NO_CODE ? null : code,
    ...joined,
    outputBytes,
    background,
    shell: parseShell(state, environment, request.shell),
    durationMs,
  };
}

/** How the bytes of output that are kept are shared between its head and its tail. */
export function outputShares(maxOutputBytes: number): { head: number; tail: number } {
  const tail = Math.floor(maxOutputBytes / 2);
  return { head: maxOutputBytes - tail, tail };
}

/**
 * The text of an output of which head and tail were kept: a line between them says how much is left out. A character cut at
 * either side is left out whole. Undefined where the kept bytes can't be those of an output of `totalBytes`.
 */
export function joinOutput(
  kept: Buffer,
  totalBytes: number,
  maxOutputBytes: number,
): { output: string; omittedBytes: number } | undefined {
  if (kept.length !== Math.min(totalBytes, maxOutputBytes)) return undefined;
  if (totalBytes <= maxOutputBytes) return { output: kept.toString('utf8'), omittedBytes: 0 };
  const { head } = outputShares(maxOutputBytes);
  const headPart = kept.subarray(0, wholeCharacters(kept.subarray(0, head)));
  let tailAt = head;
  while (tailAt < Math.min(head + 3, kept.length) && isContinuation(kept[tailAt])) tailAt++;
  const tailPart = kept.subarray(tailAt);
  const omittedBytes = totalBytes - headPart.length - tailPart.length;
  return {
    output: `${headPart.toString('utf8')}\n[... ${omittedBytes} bytes left out ...]\n${tailPart.toString('utf8')}`,
    omittedBytes,
  };
}

// --- internal ---

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Length of the longest start of `bytes` that does not end inside a UTF-8 character. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (isContinuation(byte)) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
