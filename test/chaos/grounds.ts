/** Where batches are disturbed, and where the same ones are not. */

import { type Machine, startMachine } from '../support/machine.ts';
import { startOwnEngine } from '../support/own-engine.ts';
import { createProduct, type Product } from '../support/product.ts';
import type { Ground } from './faults.ts';

export interface Grounds {
  disturbed: Ground;
  undisturbed: Product;
  /** Ends and removes all that is there, whatever is under way. */
  close(): Promise<void>;
}

/** As root machines and an engine of their own, which are gone with this process; else this host, with a word about what is left out. */
export async function openGrounds(note: (line: string) => void): Promise<Grounds> {
  if (process.getuid?.() !== 0) {
    note('not root: engine, disk, network and clock of this host are left alone');
    const [product, undisturbed] = [await createProduct(), await createProduct()];
    return {
      disturbed: { product, machine: undefined, engine: undefined },
      undisturbed,
      close: async () => void (await Promise.all([product.close(), undisturbed.close()])),
    };
  }
  const engine = await startOwnEngine();
  const machines: Machine[] = [];
  const close = async () => {
    await Promise.all(machines.map((machine) => machine.close()));
    await engine.close();
  };
  const addMachine = async () => {
    const machine = await startMachine({ DOCKER_HOST: engine.host });
    machines.push(machine);
    return machine;
  };
  try {
    const [machine, other] = [await addMachine(), await addMachine()];
    const disturbed = { product: machine.product, machine, engine };
    return { disturbed, undisturbed: other.product, close };
  } catch (error) {
    await close();
    throw error;
  }
}
