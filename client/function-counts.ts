/** What a list of functions adds up to. */

/** Counts functions as they come, by language and by the reason that leaves them out. */
export class FunctionCounts {
  found = 0;
  eligible = 0;
  readonly #languages = new Map<string, { found: number; eligible: number }>();
  readonly #reasons = new Map<string, number>();

  add({ language, reason }: { language: string; reason: string | null }): void {
    const ofLanguage = this.#languages.get(language) ?? { found: 0, eligible: 0 };
    this.#languages.set(language, ofLanguage);
    this.found += 1;
    ofLanguage.found += 1;
    if (reason === null) {
      this.eligible += 1;
      ofLanguage.eligible += 1;
    } else {
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
  }

  /** Most first. */
  get languages(): { language: string; found: number; eligible: number }[] {
    return [...this.#languages]
      .map(([language, counts]) => ({ language, ...counts }))
      .sort((a, b) => b.found - a.found);
  }

  /** Functions by the reason that leaves them out, most first. */
  get reasons(): Record<string, number> {
    return Object.fromEntries([...this.#reasons].sort((a, b) => b[1] - a[1]));
  }
}

/** Key → how often it occurs, most first, then by name. */
export function countBy<T>(items: Iterable<T>, keyOf: (item: T) => string): Record<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return Object.fromEntries(
    [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : a > b ? 1 : 0)),
  );
}

/** The first folder of a path, `.` for a file at the top. */
export function topFolder(file: string): string {
  const slash = file.indexOf('/');
  return slash === -1 ? '.' : file.slice(0, slash);
}

/** The folder of a path, `.` at the top. */
export function folderOf(file: string): string {
  const slash = file.lastIndexOf('/');
  return slash === -1 ? '.' : file.slice(0, slash);
}
