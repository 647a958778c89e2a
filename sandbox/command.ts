/** One command of the agent: the supervisor script that runs it as the agent's user inside the container, and its answer. */

import { createHash } from 'node:crypto';

import { AGENT_UID } from '../domain/ids.ts';
import type { CommandRequest, CommandResult } from '../domain/ports.ts';
import { MAX_STATE_BYTES, parseShell, renderShell, SAVE_STATE } from './shell.ts';

/** A small file system in memory, of root alone: what the agent fills or breaks outside never touches it. */
export const CONTROL_FOLDER = '/run/twinpatch';

/** Drops root for good: no group, no capability, no way back. */
export const BECOME_AGENT = [
  'setpriv',
  '--reuid',
  String(AGENT_UID),
  '--regid',
  String(AGENT_UID),
  '--clear-groups',
  '--no-new-privs',
  '--',
];

/**
 * Runs as root, with arguments: folder name, limit in seconds, bytes of head, bytes of tail, bytes of the shell's set-up,
 * the text of SAVE_STATE, then the agent's environment. stdin is the set-up, then the command. Answers on stderr, which the
 * agent never holds; stdout is the head and tail of the command's output. Every process it may need later is started before
 * the command is, because a command can use up the container's processes. A repeated folder name gets the first answer.
 */
const SUPERVISOR = String.raw`
root=${CONTROL_FOLDER} dir=${CONTROL_FOLDER}/$1 limit=$2 head=$3 tail=$4 setup=$5 save=$6
shift 6
exec 8>&2 2>/dev/null
umask 022

now() {
  REPLY=${'$'}{EPOCHREALTIME-0}
  REPLY=${'$'}{REPLY/[.,]/}
}

memory_kills() {
  local file key value
  REPLY=0
  for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [[ -r $file ]] && while read -r key value; do [[ $key == oom_kill ]] && REPLY=$value; done <"$file"
  done
}

agent_processes() {
  local status key value rest state
  REPLY=' '
  for status in /proc/[0-9]*/status; do
    while read -r key value rest; do
      case $key in
        State:) state=$value ;;
        Uid:) [[ $value == ${AGENT_UID} && $state != Z ]] && REPLY+="$status "; break ;;
      esac
    done <"$status"
  done
}

refused_forks() {
  local file key value
  REPLY=0
  for file in /sys/fs/cgroup/pids.events /sys/fs/cgroup/pids/pids.events; do
    [[ -r $file ]] && while read -r key value; do [[ $key == max ]] && REPLY=$value; done <"$file"
  done
}

disk_full() {
  local blocks size inodes
  read -r blocks size inodes <<<"$(stat -f -c '%a %S %d' "$1")"
  [[ -n $inodes ]] && (( blocks * size < 1048576 || inodes == 0 ))
}

run() {
  local old code='' end=exited before_kills before_forks before background=0 started=0 micros=0 copier killer left total word rest cwd
  for old in "$root"/*; do [[ -e $old/done ]] && rm -rf -- "$old"; done
  head -c "$setup" >"$dir/setup"
  cat >"$dir/command"
  exec </dev/null
  printf %s "${'$'}{save/STATE/"$dir/state"}" >"$dir/save"
  umask 0; : >"$dir/state"; mkfifo -m 622 "$dir/out"; umask 077
  mkfifo "$dir/exit" "$dir/kill" "$dir/eof"
  memory_kills; before_kills=$REPLY
  refused_forks; before_forks=$REPLY
  agent_processes; before=$REPLY

  # Opened for both first, so that neither end waits for the other; then each end by itself, so that the end is seen.
  exec 3<>"$dir/out" 4<"$dir/out" 5>"$dir/out" 3>&-
  exec 3<>"$dir/exit" 6<"$dir/exit" 11>"$dir/exit" 3>&-
  exec 3<>"$dir/eof" 10<"$dir/eof" 12>"$dir/eof" 3>&-
  exec 7<>"$dir/kill"
  exec 9> >(
    exec 4<&- 5>&- 6<&- 7>&- 8>&- 10<&- 11>&- >/dev/null
    dd bs=65536 2>"$dir/count" | { head -c "$head" >"$dir/head"; tail -c "$tail" >"$dir/tail"; }
  )
  cat <&4 >&9 4<&- 5>&- 6<&- 7>&- 8>&- 9>&- 10<&- 11>&- 12>&- &
  copier=$!
  exec 9>&- 12>&-
  # kill(-1) of the agent's own user: one call reaches every process of the agent, also what forks meanwhile, and nothing else.
  ( exec 4<&- 5>&- 6<&- 8>&- 10<&- 11>&- >/dev/null
    read -r -u 7 && exec ${BECOME_AGENT.join(' ')} "$BASH" -c 'kill -9 -1' ) &
  killer=$!
  ( exec 4<&- 6<&- 7>&- 8>&- 10<&-
    echo 1000 >/proc/self/oom_score_adj
    cd /
    ${BECOME_AGENT.join(' ')} env -i "$@" "$BASH" --noprofile --norc -c \
      "trap '{ . $dir/save; } 2>/dev/null' EXIT; . $dir/setup; eval -- \"\$(<$dir/command)\"; { . $dir/save; } 2>/dev/null" bash \
      >&5 2>&5 5>&- 11>&-
    echo "$?" >&11 ) >/dev/null &
  exec 5>&- 11>&-
  now; started=$REPLY
  if ! read -r -t "$limit" -u 6 code; then
    end=timed-out
    echo >&7
    read -r -t 5 -u 6 _
    code=
  fi
  now; micros=$(( REPLY - started ))
  agent_processes; left=$REPLY
  if [[ $end == exited ]]; then
    for word in $left; do [[ $before == *" $word "* ]] || background=1; done
  fi
  # A command that used up the container's processes would leave none for this answer and the next command.
  refused_forks
  if (( REPLY > before_forks )); then
    [[ $end == exited ]] && echo >&7
    background=0 left=' '
  else
    kill "$killer"
  fi

  # What a process left behind still writes must not hold the answer; what the command wrote must be in it. The end of the
  # filter is seen as the end of a pipe, which stays: a line could be lost to a time limit that passes while it is read.
  read -r -t 0.05 -u 10
  if (( $? > 128 )); then
    if [[ $left != ' ' ]]; then
      for word in 1 2 3 4 5 6 7 8 9 10; do
        read -t 0 -u 4 || break
        read -r -t 0.05 -u 10
        (( $? > 128 )) || break
      done
      cat <&4 >/dev/null 4<&- 6<&- 7>&- 8>&- 10<&- &
      kill "$copier"
    fi
    read -r -t 10 -u 10
  fi
  exec 4<&- 6<&- 10<&-

  while read -r word rest; do total=$word; done <"$dir/count"
  memory_kills
  IFS= read -r cwd <"$dir/state"
  if [[ $end == exited ]]; then
    if (( REPLY > before_kills )); then end=oom
    elif [[ $code != 0 ]] && { disk_full / || disk_full "$cwd"; }; then end=disk
    fi
  fi
  echo "$end ${'$'}{code:--} $total $background $micros" >"$dir/answer"
  : >"$dir/done"
}

if mkdir -- "$dir"; then
  run "$@"
else
  for (( waited = 0; waited < (${'$'}{limit%.*} + 10) * 20; waited++ )); do
    [[ -e $dir/done ]] && break
    sleep 0.05
  done
fi
[[ -e $dir/done ]] || exit 1
cat "$dir/head" "$dir/tail"
{ cat "$dir/answer"; head -c ${MAX_STATE_BYTES} "$dir/state"; printf '\0done'; } >&8
`;

const ANSWER = /^(exited|timed-out|oom|disk) (\d+|-) (\d+) ([01]) (\d+)\n/;
const ANSWER_END = '\0done';

/** The exec that runs a request: its program, as root, and what goes to its stdin. */
export function toSupervisor(
  request: CommandRequest,
  environment: Record<string, string>,
): { command: string[]; stdin: Uint8Array } {
  const setup = Buffer.from(renderShell(request.shell));
  const { head, tail } = outputShares(request.maxOutputBytes);
  return {
    command: [
      'bash',
      '--noprofile',
      '--norc',
      '-c',
      SUPERVISOR,
      'supervisor',
      createHash('sha256').update(request.id).digest('hex').slice(0, 32),
      (request.timeoutMs / 1000).toFixed(3),
      String(head),
      String(tail),
      String(setup.length),
      SAVE_STATE,
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ],
    stdin: Buffer.concat([setup, Buffer.from(request.command.replaceAll('\0', ''))]),
  };
}

/** The result in a supervisor's two streams, or undefined where they are not a whole answer: then nothing in them is true. */
export function parseAnswer(
  streams: { stdout: Buffer; stderr: Buffer },
  request: CommandRequest,
  environment: Record<string, string>,
): CommandResult | undefined {
  const control = streams.stderr.toString('latin1');
  const match = ANSWER.exec(control);
  if (match === null || !control.endsWith(ANSWER_END)) return undefined;
  const [line, end, code, total, background, micros] = match;
  const outputBytes = Number(total);
  const joined = joinOutput(streams.stdout, outputBytes, request.maxOutputBytes);
  if (joined === undefined) return undefined;
  return {
    end: end as CommandResult['end'],
    exitCode: code === '-' ? null : Number(code),
    ...joined,
    outputBytes,
    background: background === '1',
    shell: parseShell(
      streams.stderr.subarray(line.length, streams.stderr.length - ANSWER_END.length),
      environment,
      request.shell,
    ),
    durationMs: Number(micros) / 1000,
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
