/** How processes reach the Temporal server: address and namespace, TLS and API key by environment. */

import { readFileSync } from 'node:fs';

export interface ServerAddress {
  address: string;
  namespace: string;
}

/**
 * Connection options for clients and workers. `TWINPATCH_TEMPORAL_API_KEY` sends a key over TLS; `TWINPATCH_TEMPORAL_TLS=true` turns
 * TLS on without one; `TWINPATCH_TEMPORAL_TLS_{CA,CERT,KEY}` name files in PEM format.
 */
export function connectionOptions(
  { address }: Pick<ServerAddress, 'address'>,
  variables: Record<string, string | undefined>,
) {
  const apiKey = variables['TWINPATCH_TEMPORAL_API_KEY'];
  const file = (name: string) => {
    const variable = `TWINPATCH_TEMPORAL_TLS_${name}`;
    const path = variables[variable];
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'error';
      throw new Error(`${variable}: ${path} can't be read (${code})`, { cause: error });
    }
  };
  const [ca, crt, key] = [file('CA'), file('CERT'), file('KEY')];
  if ((crt === undefined) !== (key === undefined)) {
    throw new Error(
      'TWINPATCH_TEMPORAL_TLS_CERT and TWINPATCH_TEMPORAL_TLS_KEY belong together: set both or none',
    );
  }
  const wanted = variables['TWINPATCH_TEMPORAL_TLS'] === 'true' || apiKey !== undefined;
  const tls =
    ca || crt || key
      ? {
          ...(ca && { serverRootCACertificate: ca }),
          ...(crt && key && { clientCertPair: { crt, key } }),
        }
      : wanted;
  return { address, ...(tls !== false && { tls }), ...(apiKey !== undefined && { apiKey }) };
}
