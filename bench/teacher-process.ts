/** The bench's own teacher, in a child process. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface TeacherProcess {
  /** Up to and with `/v1`. */
  baseUrl: string;
  /** CPU time in milliseconds that the server itself needed per request since it was last asked. */
  cpuMsMean(): Promise<number>;
  close(): Promise<void>;
}

/** Throws when the server does not come up. */
export async function startTeacherProcess(): Promise<TeacherProcess> {
  const child = fork(fileURLToPath(new URL('teacher-server.ts', import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  const [first] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error("the bench's teacher ended before it listened"))),
  ])) as [{ baseUrl: string }];
  return {
    baseUrl: first.baseUrl,
    async cpuMsMean() {
      const answer = once(child, 'message');
      child.send('count');
      const [{ cpuMsMean }] = (await answer) as [{ cpuMsMean: number }];
      return cpuMsMean;
    },
    async close() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
