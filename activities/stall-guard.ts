/** Notices work that makes no progress any more, whatever it hangs on: heartbeats alone would keep it for ever. */

/** Work got no further within its deadline; another attempt takes it over. */
export class Stalled extends Error {
  override readonly name = 'Stalled';
}

/**
 * Runs work that says when it gets further. Rejects with Stalled once it has not for `deadlineMs`; the work's own signal is aborted
 * then, and it is waited for no more. Otherwise gives the work's own end; the signal given aborts the work's.
 */
export async function stallGuarded<T>(
  deadlineMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal, onProgress: () => void) => Promise<T>,
): Promise<T> {
  const stalling = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onProgress = () => {
    clearTimeout(timer);
    timer = setTimeout(
      () => stalling.abort(new Stalled(`no progress for ${Math.round(deadlineMs / 1000)} s`)),
      deadlineMs,
    );
  };
  const stalled = new Promise<never>((_, reject) => {
    stalling.signal.addEventListener('abort', () => reject(stalling.signal.reason as Stalled));
  });
  onProgress();
  try {
    return await Promise.race([
      work(AbortSignal.any([signal, stalling.signal]), onProgress),
      stalled,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
