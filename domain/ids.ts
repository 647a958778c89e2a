/** Names that are the same everywhere: queues, workflow ids, rollout ids, stage keys, labels. */

export const NAMESPACE = 'twinpatch';
/** Workflows and light activities. */
export const MAIN_QUEUE = 'twinpatch';
/** Activities that need the Docker engine; a worker's slots here are its containers. */
export const ROLLOUT_QUEUE = 'twinpatch-rollout';

/** Where the repository stands inside every sandbox. */
export const REPOSITORY_PATH = '/testbed';
/** The agent's user inside every sandbox; it owns the repository. */
export const AGENT_UID = 1000;

/** Where every sandbox finds its guest process, read-only. */
export const GUEST_FOLDER = '/.twinpatch';

const LABEL_PREFIX = 'dev.twinpatch.';

export type SandboxRole = 'prepare' | 'rollout' | 'verifier';

/** What marks a container, image or volume as ours; labels cannot change, so nothing that changes is in them. */
export interface Labels {
  installation: string;
  role: SandboxRole | 'image' | 'guest';
  batch?: string;
  sample?: string;
  rollout?: string;
  /** Of the owner that a rollout's container was made for: a newer one may have it by now, an older one may not. */
  epoch?: string;
  /** Of what is no rollout's: the process that made it for itself. */
  process?: string | undefined;
  /** Of an image: where copies of the repository's own package are, with spaces between. */
  copies?: string;
}

/** Engine labels of something this installation starts. */
export function toEngineLabels(labels: Labels): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).flatMap(([name, value]) =>
      value === undefined ? [] : [[LABEL_PREFIX + name, String(value)]],
    ),
  );
}

/** Engine filter values that select what carries these labels. */
export function toLabelFilters(labels: Partial<Labels>): string[] {
  return Object.entries(labels).map(([name, value]) => `${LABEL_PREFIX}${name}=${String(value)}`);
}

/** One of our labels, read back from what the engine returns. */
export function readLabel(
  engineLabels: Record<string, string>,
  name: keyof Labels,
): string | undefined {
  return engineLabels[LABEL_PREFIX + name];
}

export function batchWorkflowId(batchId: string): string {
  return `batch/${batchId}`;
}

export function verifyWorkflowId(batchId: string): string {
  return `verify/${batchId}`;
}

export function sampleWorkflowId(batchId: string, sampleKey: string): string {
  return `sample/${batchId}/${sampleKey}`;
}

/** `<batchId>/<sampleKey>/rollout-1.2`: rollout 1, attempt 2. */
export function rolloutId(batchId: string, sampleKey: string, rollout: 1 | 2, attempt: number) {
  return `${batchId}/${sampleKey}/rollout-${rollout}.${attempt}`;
}

/** `000017-1a2b3c`: the sample's place in the manifest, then the start of its content hash. */
export function sampleKey(index: number, contentHash: string): string {
  return `${String(index).padStart(6, '0')}-${contentHash.slice(0, 6)}`;
}

/** Place of a sample in the manifest, from its key. */
export function sampleIndex(key: string): number {
  return Number.parseInt(key, 10);
}

/** A batch id is its name: lower-case letters, digits, dots, dashes and underscores, at most 64. */
export const BATCH_NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Name of a preview of a batch; `contentHash` is of the values that determine its samples. */
export function previewName(name: string, contentHash: string): string {
  return `${name.slice(0, 48)}-preview-${contentHash.slice(0, 6)}`;
}

export function isPreview(batchId: string): boolean {
  return /-preview-[0-9a-f]{6}$/.test(batchId);
}

/** JSON with sorted keys and without undefined: equal values give equal bytes. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}

/** Hex SHA-256 of a text (UTF-8) or bytes; handed in, because the domain imports no builtin. */
export type Hash = (content: string | Uint8Array) => string;
