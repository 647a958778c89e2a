/** A host of its own, as far as a worker can tell: a name, processes and an engine that no other host has. Needs root. */

import { once } from 'node:events';
import { connectEngine } from '../../sandbox/engine.ts';
import { startOwnEngine } from './own-engine.ts';
import type { Product, Started } from './product.ts';

/** Its first process gives it its name. */
const NAMESPACES = ['--uts', '--pid', '--fork', '--mount-proc', '--kill-child'];

export interface Host {
  engine: { host: string; id: string };
  /** Starts a worker there; returns once that works. */
  startWorker(product: Product, args: string[], env: Record<string, string>): Promise<void>;
  /** Worker and engine are gone at once, and nobody there says a word about it. */
  lose(): Promise<void>;
}

export async function startHost(name: string): Promise<Host> {
  const engine = await startOwnEngine();
  const { host } = engine;
  const { id } = await connectEngine({ host });
  let worker: Started | undefined;
  return {
    engine: { host, id },

    async startWorker(product, args, env) {
      const named = ['bash', '-c', 'hostname "$0" && exec "$@"', name];
      const wrap = ['unshare', ...NAMESPACES, ...named];
      worker = product.start(['worker', ...args], { ...env, DOCKER_HOST: host }, wrap);
      const works = once(worker.child.stderr!, 'data');
      await Promise.race([
        works,
        worker.ended.then(({ stderr }) => {
          throw new Error(`the worker of ${name} ended: ${stderr}`);
        }),
      ]);
    },

    async lose() {
      worker?.child.kill('SIGKILL');
      await Promise.all([worker?.ended, engine.close()]);
    },
  };
}
