/** What the agents of a bench work on, and the commands they run: what agents really do, in turn. */

import type { Readable } from 'node:stream';
import { toArchive } from '../sandbox/archive.ts';

const MODULES = 60;
const FUNCTIONS_PER_MODULE = 12;

/** One command per step, from the first again after the last; each gives the same result however often it runs. */
export const COMMAND_MIX = [
  'ls -la',
  'cat inventory/module_07.py',
  'grep -rn "def restock_3" inventory',
  "sed -n '20,60p' inventory/module_12.py",
  'python3 -c "import ast; print(len(ast.parse(open(\'inventory/module_30.py\').read()).body))"',
  "cat > notes.txt <<'END'\nrestock_3 subtracts the reserved amount twice.\nThe caller in module_12 does it already.\nEND",
  'git status --short',
  'true',
] as const;

/** The command of a step, counted from 0. */
export function commandOf(step: number): string {
  return COMMAND_MIX[step % COMMAND_MIX.length] ?? 'true';
}

/** A tar of a small Python project, the same bytes each time. */
export function toRepositoryTar(): Readable {
  const modules = Array.from({ length: MODULES }, (_, index) => ({
    name: `inventory/module_${String(index).padStart(2, '0')}.py`,
    content: toModule(index),
  }));
  const files = [
    { name: 'README.md', content: '# Inventory\n\nCounts what is in stock.\n' },
    { name: 'inventory/__init__.py' },
    ...modules,
  ];
  return toArchive(files.map((file) => ({ ...file, mtime: new Date(0) })));
}

// --- internal ---

function toModule(index: number): string {
  const functions = Array.from(
    { length: FUNCTIONS_PER_MODULE },
    (_, number) => `
def restock_${number}(stock, reserved=${index}):
    """How much of each article is missing."""
    missing = {}
    for article, amount in stock.items():
        if amount - reserved < ${number + 1}:
            missing[article] = reserved - amount + ${number + 1}
    return missing
`,
  );
  return `"""Part ${index} of the inventory."""\n${functions.join('\n')}`;
}
