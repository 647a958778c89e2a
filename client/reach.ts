/** Why a Temporal server could not be reached, in words, and the one step that helps. */

import type { ConnectionOptions } from 'node:tls';
import type { ReachOptions } from '../worker/connection.ts';
import { type Http2Answer, probeHttp2 } from './probe-http2.ts';

export interface Trouble {
  why: string;
  next: string;
}

const PROBE_MS = 3_000;

/** google.rpc.Code */
const PERMISSION_DENIED = 7;
const UNAUTHENTICATED = 16;

/** The gRPC status and text of a failed call, where the server itself gave one. */
export function statusOf(error: unknown): { code?: number; details?: string } {
  if (!(error instanceof Error)) return {};
  const { code, details, cause } = error as Error & { code?: unknown; details?: string };
  return typeof code === 'number' ? { code, ...(details && { details }) } : statusOf(cause);
}

/** What a call means that was refused for who we are; undefined for any other failure. */
export function explainRefusal({ apiKey }: ReachOptions, error: unknown): Trouble | undefined {
  const { code, details = '' } = statusOf(error);
  if (code !== UNAUTHENTICATED && code !== PERMISSION_DENIED) return undefined;
  const said = details === '' ? '' : ` (${details})`;
  return apiKey === undefined
    ? { why: `it wants an API key${said}`, next: 'export TWINPATCH_TEMPORAL_API_KEY=…' }
    : { why: `it refuses the API key${said}`, next: 'correct TWINPATCH_TEMPORAL_API_KEY' };
}

/** Asks the port itself why no connection came about. Takes seconds at most, and never throws. */
export async function explainNoConnection(options: ReachOptions, error: unknown): Promise<Trouble> {
  const refusal = explainRefusal(options, error);
  if (refusal !== undefined) return refusal;
  const { address, tls } = options;
  const answer = await probeHttp2(address, tls ? toNodeTls(options) : undefined, PROBE_MS);
  switch (answer.kind) {
    case 'nobody':
      return explainSilence(options, answer.code);
    case 'certificate':
      return explainCertificate(options, answer);
    case 'http2':
      return {
        why: `it answers, but not as Temporal does: ${statusOf(error).details ?? String(error)}`,
        next: FRONTEND,
      };
    case 'other': {
      const otherWay = tls ? undefined : { rejectUnauthorized: false };
      const answers = (await probeHttp2(address, otherWay, PROBE_MS)).kind;
      // One that wants a certificate of ours speaks TLS just as well.
      if (answers === 'nobody' || answers === 'other')
        return { why: `it does not speak as Temporal does: ${answer.message}`, next: FRONTEND };
      return tls ? PLAIN_SERVER : TLS_SERVER;
    }
  }
}

// --- internal ---

const FRONTEND =
  "give the address of Temporal's frontend, whose port is 7233 as a rule (the UI has another one)";
const TLS_SERVER: Trouble = {
  why: 'it speaks TLS, and was asked in plain text',
  next: 'export TWINPATCH_TEMPORAL_TLS=true (and TWINPATCH_TEMPORAL_TLS_CA=FILE where an authority of your own signed its certificate)',
};
const PLAIN_SERVER: Trouble = {
  why: 'it speaks plain text, and was asked over TLS',
  next: 'export TWINPATCH_TEMPORAL_TLS=false where plain text is meant',
};

function explainSilence({ address }: ReachOptions, code: string): Trouble {
  const next = 'start that server, or correct --temporal or TWINPATCH_TEMPORAL';
  if (code === 'ECONNREFUSED') return { why: 'nothing listens there', next };
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return { why: `the name ${address.replace(/:\d+$/, '')} leads nowhere (${code})`, next };
  }
  return { why: `nothing comes back (${code})`, next: 'check the address, and firewalls between' };
}

function explainCertificate(
  { address, tls }: ReachOptions,
  { code, message }: Extract<Http2Answer, { kind: 'certificate' }>,
): Trouble {
  const { clientCertPair, serverRootCACertificate } = typeof tls === 'object' ? tls : {};
  if (code.includes('ALERT')) {
    return clientCertPair === undefined
      ? {
          why: 'it wants a client certificate',
          next: 'export TWINPATCH_TEMPORAL_TLS_CERT=FILE TWINPATCH_TEMPORAL_TLS_KEY=FILE',
        }
      : {
          why: 'it refuses the client certificate',
          next: 'give one that its authority signed in TWINPATCH_TEMPORAL_TLS_CERT and …_KEY',
        };
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return {
      why: `its certificate is for another name than ${address.replace(/:\d+$/, '')}: ${message}`,
      next: 'give the name that is in the certificate as the host, or in TWINPATCH_TEMPORAL_TLS_SERVER_NAME',
    };
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return { why: message, next: "renew the server's certificate, or correct this host's clock" };
  }
  return serverRootCACertificate === undefined
    ? {
        why: `an authority signed its certificate that is not known here (${code})`,
        next: "export TWINPATCH_TEMPORAL_TLS_CA=FILE with that authority's certificate",
      }
    : {
        why: `its certificate is not signed by the one in TWINPATCH_TEMPORAL_TLS_CA (${code})`,
        next: "let TWINPATCH_TEMPORAL_TLS_CA name the PEM file of the server's authority",
      };
}

/** The same TLS as the SDK's, for Node's own sockets. */
function toNodeTls({ tls }: ReachOptions): ConnectionOptions {
  if (typeof tls !== 'object') return {};
  const { serverNameOverride, serverRootCACertificate, clientCertPair } = tls;
  return {
    ...(serverNameOverride !== undefined && { servername: serverNameOverride }),
    ...(serverRootCACertificate && { ca: serverRootCACertificate }),
    ...(clientCertPair && { cert: clientCertPair.crt, key: clientCertPair.key }),
  };
}
