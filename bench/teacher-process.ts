/** The bench's own teacher, in a child process. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface TeacherProcess {
  /** Up to and with `/v1`. */
  baseUrl: string;
  /** Milliseconds the server itself worked per request since it started. */
  serviceMsMean(): Promise<number>;
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
    async serviceMsMean() {
      const answer = once(child, 'message');
      child.send('count');
      const [{ served, serviceMs }] = (await answer) as [{ served: number; serviceMs: number }];
      return serviceMs / Math.max(1, served);
    },
    async close() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
