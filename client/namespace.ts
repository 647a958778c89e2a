/** Namespace, retention and search attributes: what the workflows need of a server, checked and made where it is missing. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { NAMESPACE } from '../domain/ids.ts';
import { SEARCH_ATTRIBUTES, type SearchAttribute } from '../domain/search-attributes.ts';
import type { ServerAddress } from '../worker/connection.ts';
import { CliError, EXIT } from './errors.ts';
import { statusOf } from './reach.ts';

/** Closed samples stay in the UI this long; a server's own default is a day. */
const RETENTION_DAYS = 30;
const DAY_MS = 24 * 3600 * 1000;
const KNOWN_MS = 30_000;

/** temporal.api.enums.v1.IndexedValueType */
const INDEXED_TYPES = { Keyword: 2, Int: 3, Double: 4 } as const;
/** google.rpc.Code */
const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const PERMISSION_DENIED = 7;
const UNIMPLEMENTED = 12;

export interface NamespaceState {
  exists: boolean;
  retentionDays: number;
  missingAttributes: SearchAttribute[];
}

/** How a namespace stands; changes nothing. */
export async function inspectNamespace(
  { workflowService, connection: { operatorService } }: Client,
  namespace: string,
): Promise<NamespaceState> {
  const all = Object.keys(SEARCH_ATTRIBUTES) as SearchAttribute[];
  try {
    const { config } = await workflowService.describeNamespace({ namespace });
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    const seconds = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0);
    return {
      exists: true,
      retentionDays: (seconds * 1000) / DAY_MS,
      missingAttributes: all.filter((name) => !(name in (customAttributes ?? {}))),
    };
  } catch (error) {
    if (statusOf(error).code !== NOT_FOUND) throw error;
    return { exists: false, retentionDays: 0, missingAttributes: all };
  }
}

/**
 * Makes what is missing. On a server that is not ours, no namespace is made but the usual one, which can be no mistyped name, and
 * retention is left alone. Throws CliError where something is missing and may not be made.
 */
export async function prepareNamespace(
  client: Client,
  { address, namespace, isOurs }: ServerAddress & { isOurs: boolean },
): Promise<void> {
  const {
    workflowService,
    connection: { operatorService },
  } = client;
  const state = await inspectNamespace(client, namespace);
  const retention = msToTs(RETENTION_DAYS * DAY_MS);
  const isComplete = state.exists && state.missingAttributes.length === 0;
  if (!state.exists) {
    const missing = missingNamespace(address, namespace);
    if (!isOurs && namespace !== NAMESPACE) throw missing;
    await workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention })
      .catch(ignoring(ALREADY_EXISTS, missing));
  } else if (isOurs && state.retentionDays < RETENTION_DAYS) {
    await workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: retention },
    });
  }
  if (state.missingAttributes.length > 0) {
    const searchAttributes = Object.fromEntries(
      state.missingAttributes.map((name) => [name, INDEXED_TYPES[SEARCH_ATTRIBUTES[name]]]),
    );
    await onceKnown([NOT_FOUND], () =>
      operatorService.addSearchAttributes({ namespace, searchAttributes }),
    ).catch(ignoring(ALREADY_EXISTS, missingAttributes(address, namespace, state)));
  }
  if (isComplete) return;
  const query = Object.keys(SEARCH_ATTRIBUTES)
    .map((name) => `${name} IS NULL`)
    .join(' AND ');
  await onceKnown([NOT_FOUND, INVALID_ARGUMENT], () =>
    workflowService.countWorkflowExecutions({ namespace, query }),
  );
}

// --- internal ---

/** What a server has just been told becomes known to its parts within seconds; until then they answer with these codes. */
async function onceKnown<T>(codes: number[], call: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + KNOWN_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const { code } = statusOf(error);
      if (code === undefined || !codes.includes(code) || performance.now() > deadline) throw error;
      await sleep(250);
    }
  }
}

function missingNamespace(address: string, namespace: string): CliError {
  const where = `--address ${address} --namespace ${namespace}`;
  return new CliError(
    EXIT.failed,
    `the Temporal server at ${address} has no namespace ${namespace}`,
    {
      next: `correct TWINPATCH_NAMESPACE, or make it: temporal operator namespace create ${where} --retention ${RETENTION_DAYS}d`,
    },
  );
}

function missingAttributes(
  address: string,
  namespace: string,
  { missingAttributes: names }: NamespaceState,
): CliError {
  const each = names.map((name) => `--name ${name} --type ${SEARCH_ATTRIBUTES[name]}`).join(' ');
  return new CliError(
    EXIT.failed,
    `namespace ${namespace} at ${address} lacks search attributes, and we may not add them`,
    {
      next: `ask its administrator for: temporal operator search-attribute create --address ${address} --namespace ${namespace} ${each}`,
    },
  );
}

/** Passes over failures with this code, and over those for lack of rights to what is said of them. */
function ignoring(code: number, denied: CliError): (error: unknown) => void {
  return (error) => {
    const found = statusOf(error).code;
    if (found === PERMISSION_DENIED || found === UNIMPLEMENTED) throw denied;
    if (found !== code) throw error;
  };
}
