/** What a step can't do without: the command's own time in the container, and the teacher's own time on the wire. */

import { Agent, request } from 'node:http';
import { PassThrough } from 'node:stream';
import { AGENT_UID, REPOSITORY_PATH } from '../domain/ids.ts';
import type { Sandbox } from '../domain/ports.ts';
import type { Engine } from '../sandbox/engine.ts';
import { commandOf } from './command-mix.ts';
import { mean, type Workload } from './workload.ts';

/** Runs each command that it reads in a bash of its own and says how long that took, in microseconds. */
const RUNNER = String.raw`
while IFS= read -r -d '' command; do
  start=$EPOCHREALTIME
  bash -c "$command" </dev/null 2>&1
  end=$EPOCHREALTIME
  printf '\0%s\0' $(( ${'${end/[.,]/}'} - ${'${start/[.,]/}'} ))
done`;

/**
 * Mean milliseconds of a command of the mix as a fresh `bash -c`, fed through a pipe into the same containers, as many at once
 * as the harness ran.
 */
export async function measureCommands(
  engine: Engine,
  sandboxes: Sandbox[],
  { steps, concurrency }: Pick<Workload, 'steps' | 'concurrency'>,
): Promise<number> {
  const times = await Promise.all(
    sandboxes.slice(0, concurrency).map(({ ref }, offset) =>
      runCommands(
        engine,
        ref.container,
        Array.from({ length: steps }, (_, step) => commandOf(step + offset)),
      ),
    ),
  );
  return mean(times.flat());
}

/** Mean milliseconds from a request's start to the end of its reply, on kept connections, as many at once as the harness had. */
export async function measureTeacher(
  { teacher, concurrency }: Workload,
  bodies: Buffer[],
): Promise<number> {
  const agent = new Agent({ keepAlive: true });
  const url = `${teacher.baseUrl}/chat/completions`;
  const times: number[] = [];
  const run = async () => {
    for (const body of bodies) {
      const start = performance.now();
      await post(url, body, agent);
      times.push(performance.now() - start);
    }
  };
  try {
    await post(url, bodies[0] ?? Buffer.from('{}'), agent);
    await Promise.all(Array.from({ length: concurrency }, run));
  } finally {
    agent.destroy();
  }
  return mean(times);
}

// --- internal ---

async function runCommands(
  engine: Engine,
  container: string,
  commands: string[],
): Promise<number[]> {
  const exec = await engine.docker.getContainer(container).exec({
    Cmd: ['bash', '--noprofile', '--norc', '-c', RUNNER],
    User: `${AGENT_UID}:${AGENT_UID}`,
    Env: ['HOME=/home/agent', 'LANG=C.UTF-8', 'GIT_PAGER=cat', 'PYTHONDONTWRITEBYTECODE=1'],
    WorkingDir: REPOSITORY_PATH,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await exec.start({ hijack: true, stdin: true });
  const output = new PassThrough();
  engine.docker.modem.demuxStream(stream, output, output);
  stream.on('end', () => output.end());
  const times: number[] = [];
  try {
    const parts = splitAtNul(output);
    for (const command of commands) {
      stream.write(`${command}\0`);
      await parts.next(); // what the command printed
      const { value, done } = await parts.next();
      if (done === true) throw new Error(`the container ended while it ran ${command}`);
      times.push(Number(value) / 1000);
    }
  } finally {
    stream.end();
    stream.destroy();
  }
  return times;
}

async function* splitAtNul(output: AsyncIterable<Buffer>): AsyncGenerator<string, undefined> {
  let rest = '';
  for await (const chunk of output) {
    const parts = (rest + chunk.toString('latin1')).split('\0');
    rest = parts.pop() ?? '';
    yield* parts;
  }
  return undefined;
}

function post(url: string, body: Buffer, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const call = request(url, { method: 'POST', agent, headers }, (response) => {
      response.on('end', resolve).on('error', reject).resume();
    });
    call.on('error', reject).end(body);
  });
}
