/** Server-sent events, as chat endpoints really send them. */

/**
 * The `data` of each event. Takes LF, CR and CRLF line ends, a byte order mark, several `data` lines per event, comments, characters
 * split between chunks, and a last event that no blank line ends. Throws what `chunks` throws.
 */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (;;) {
      const line = nextLine(rest, start);
      if (line === undefined) break;
      start = line.next;
      if (line.text !== '') {
        addData(line.text, data);
      } else if (data.length > 0) {
        yield data.join('\n');
        data = [];
      }
    }
    rest = rest.slice(start);
  }
  addData((rest + decoder.decode()).replace(/\r$/, ''), data);
  if (data.length > 0) yield data.join('\n');
}

function addData(line: string, data: string[]): void {
  if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
}

function nextLine(text: string, start: number): { text: string; next: number } | undefined {
  const lf = text.indexOf('\n', start);
  const cr = text.indexOf('\r', start);
  if (cr !== -1 && (lf === -1 || cr < lf)) {
    // The LF of a CRLF may be in the next chunk.
    if (cr === text.length - 1) return undefined;
    return { text: text.slice(start, cr), next: text[cr + 1] === '\n' ? cr + 2 : cr + 1 };
  }
  return lf === -1 ? undefined : { text: text.slice(start, lf), next: lf + 1 };
}
