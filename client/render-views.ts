/** What each view of a selection got and left, for people. */

import type { ViewCounts } from '../dataset/manifest.ts';
import type { Io } from './output.ts';
import { renderTable } from './table.ts';

/** A table; `only` is how many more rows there were without this one view. */
export function renderViews(
  views: ViewCounts[],
  { stdout: stream, env }: Pick<Io, 'stdout' | 'env'>,
): string {
  const rows = views.map(({ view, t1, t2 }) => [
    view,
    ...[t1, t2].flatMap((count) => [count.in, count.out, count.only ?? '']),
  ]);
  const head = ['view', 'T1 in', 'T1 left', 'only', 'T2 in', 'T2 left', 'only'];
  return renderTable(head, rows, { stream, env });
}
