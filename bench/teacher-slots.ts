/** How busy a batch keeps the calls that its endpoint allows: the whole product, from its command line, and the ledger afterwards. */

import { startScriptedTeacher } from '../teacher/scripted/server.ts';
import { COMMANDER, createProduct, type Product } from '../test/support/product.ts';

const LATENCY_MS = 2_000;
/** Calls under way at once. */
const SLOTS = 32;
/** Rollouts at once: while one gets its container or leaves it, another one asks. */
const ROLLOUTS = 40;
const SAMPLES = 64;
const NAME = 'bench';

/** One figure. `slotsBusy`: call time, of slots × time, from the first full use until fewer rollouts remain than slots. */
export async function benchSlots(note: (line: string) => void): Promise<object> {
  const teacher = await startScriptedTeacher({
    seed: 7,
    latencyMs: LATENCY_MS,
    faultRate: 0,
    policies: { reproduce: 1 },
  });
  const product = await createProduct();
  try {
    product.configure({
      name: NAME,
      repository: { source: COMMANDER },
      environment: { memory: '256MiB', maxProcesses: 128 },
      targets: { samples: SAMPLES },
      teacher: {
        endpoints: [{ baseUrl: teacher.baseUrl, model: 'scripted', maxConcurrency: SLOTS }],
      },
    });
    note(`running a batch of ${SAMPLES} samples`);
    const rollouts = String(ROLLOUTS);
    const size = ['--window', String(SAMPLES), '--slots', rollouts];
    const args = ['run', '--port', String(product.port), ...size, '--json'];
    const { code, stderr } = await product.run(args);
    if (code !== 0) throw new Error(`the batch ended with code ${code}: ${stderr}`);
    return toFigure(await readLedger(product));
  } finally {
    await product.close();
    await teacher.close();
  }
}

// --- internal ---

/** A call, in milliseconds since 1970. */
interface Span {
  scope: string;
  fromMs: number;
  toMs: number;
}

async function readLedger(product: Product): Promise<Span[]> {
  const spans: Span[] = [];
  for await (const { call, at, durationMs } of (await product.store()).spend.lines(NAME)) {
    const toMs = Date.parse(at);
    spans.push({ scope: call.scope, fromMs: toMs - durationMs, toMs });
  }
  return spans;
}

function toFigure(spans: Span[]): object {
  const fromMs = firstFullUse(spans);
  const ends = new Map<string, number>();
  for (const { scope, toMs } of spans) {
    if (/\/rollout-/.test(scope)) ends.set(scope, Math.max(toMs, ends.get(scope) ?? 0));
  }
  const toMs = [...ends.values()].sort((a, b) => b - a)[SLOTS - 1] ?? 0;
  const busyMs = spans.reduce(
    (sum, span) => sum + Math.max(0, Math.min(span.toMs, toMs) - Math.max(span.fromMs, fromMs)),
    0,
  );
  return {
    bench: 'teacher',
    figure: 'slots',
    slots: SLOTS,
    samples: SAMPLES,
    latencyMs: LATENCY_MS,
    calls: spans.length,
    seconds: Math.round((toMs - fromMs) / 100) / 10,
    slotsBusy: Math.round((1000 * busyMs) / (SLOTS * (toMs - fromMs))) / 1000,
  };
}

/** Throws Error where the slots were never all in use. */
function firstFullUse(spans: Span[]): number {
  const changes = spans
    .flatMap(({ fromMs, toMs }) => [
      { atMs: fromMs, by: 1 },
      { atMs: toMs, by: -1 },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.by - b.by);
  let underWay = 0;
  for (const { atMs, by } of changes) {
    underWay += by;
    if (underWay >= SLOTS) return atMs;
  }
  throw new Error(`never were ${SLOTS} calls under way at once`);
}
