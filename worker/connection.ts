/** How processes reach the Temporal server: address and namespace, TLS and API key by environment. */

import { readFileSync } from 'node:fs';

export interface ServerAddress {
  address: string;
  namespace: string;
}

/** What the Temporal SDK takes for a connection, of clients and of workers alike. */
export interface ReachOptions {
  address: string;
  tls?: boolean | TlsOptions;
  apiKey?: string;
}

interface TlsOptions {
  serverNameOverride?: string;
  serverRootCACertificate?: Buffer;
  clientCertPair?: { crt: Buffer; key: Buffer };
}

/** A name, an IPv4 address or an IPv6 address in brackets; then a port. */
const ADDRESS = /^(?:[\w.-]+|\[[\da-f:.]+\]):(\d{1,5})$/i;
const PREFIX = 'TWINPATCH_TEMPORAL_';

/** Whether a text is HOST:PORT. */
export function isAddress(text: string): boolean {
  const port = Number(ADDRESS.exec(text)?.[1]);
  return port > 0 && port < 65_536;
}

/** Variables that say how the server is reached, but not where it is; those that are set. */
export function namedReachVariables(variables: Record<string, string | undefined>): string[] {
  return Object.keys(variables)
    .filter((name) => name.startsWith(PREFIX) && variables[name])
    .sort();
}

/**
 * Connection options for clients and workers. `TWINPATCH_TEMPORAL_API_KEY` sends a key, over TLS unless `TWINPATCH_TEMPORAL_TLS` is
 * false; `TWINPATCH_TEMPORAL_TLS=true` turns TLS on without one; `TWINPATCH_TEMPORAL_TLS_{CA,CERT,KEY}` name files in PEM format,
 * `TWINPATCH_TEMPORAL_TLS_SERVER_NAME` whom the server's certificate is for. Throws an Error that names the variable.
 */
export function connectionOptions(
  { address }: Pick<ServerAddress, 'address'>,
  variables: Record<string, string | undefined>,
): ReachOptions {
  // An empty variable is one that a service file or a container left open.
  const valueOf = (name: string) => variables[`${PREFIX}${name}`] || undefined;
  const file = (name: string) => {
    const path = valueOf(name);
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'error';
      throw new Error(`${PREFIX}${name}: ${path} can't be read (${code})`, { cause: error });
    }
  };
  const apiKey = valueOf('API_KEY');
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new Error(`${PREFIX}API_KEY has a space, a line's end or another letter no key has`);
  }
  const [ca, crt, key] = [file('TLS_CA'), file('TLS_CERT'), file('TLS_KEY')];
  const serverName = valueOf('TLS_SERVER_NAME');
  if ((crt === undefined) !== (key === undefined)) {
    throw new Error(`${PREFIX}TLS_CERT and ${PREFIX}TLS_KEY belong together: set both or none`);
  }
  const wish = valueOf('TLS');
  if (wish !== undefined && wish !== 'true' && wish !== 'false') {
    throw new Error(`${PREFIX}TLS is ${wish}: expected true or false`);
  }
  const details: TlsOptions = {
    ...(serverName !== undefined && { serverNameOverride: serverName }),
    ...(ca && { serverRootCACertificate: ca }),
    ...(crt && key && { clientCertPair: { crt, key } }),
  };
  const hasDetails = Object.keys(details).length > 0;
  const isSecure = wish === undefined ? hasDetails || apiKey !== undefined : wish === 'true';
  return {
    address,
    ...(isSecure && { tls: hasDetails ? details : true }),
    ...(apiKey !== undefined && { apiKey }),
  };
}
