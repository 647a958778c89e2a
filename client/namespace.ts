/** Namespace, retention and search attributes: what the workflows need of a server, checked and made where it is missing. */

import type { Client } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { SEARCH_ATTRIBUTES, type SearchAttribute } from '../domain/search-attributes.ts';

/** Closed samples stay in the UI this long; a server's own default is a day. */
const RETENTION_DAYS = 30;
const DAY_MS = 24 * 3600 * 1000;

/** temporal.api.enums.v1.IndexedValueType */
const INDEXED_TYPES = { Keyword: 2, Int: 3, Double: 4 } as const;
/** google.rpc.Code */
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;

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
    if (codeOf(error) !== NOT_FOUND) throw error;
    return { exists: false, retentionDays: 0, missingAttributes: all };
  }
}

/** Makes what is missing. A longer retention than ours is left alone, and so is any on a server that is not ours. */
export async function prepareNamespace(
  client: Client,
  namespace: string,
  options: { ours: boolean },
): Promise<void> {
  const {
    workflowService,
    connection: { operatorService },
  } = client;
  const state = await inspectNamespace(client, namespace);
  const retention = msToTs(RETENTION_DAYS * DAY_MS);
  if (!state.exists) {
    await workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention })
      .catch(ignoring(ALREADY_EXISTS));
  } else if (options.ours && state.retentionDays < RETENTION_DAYS) {
    await workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: retention },
    });
  }
  if (state.missingAttributes.length > 0) {
    const searchAttributes = Object.fromEntries(
      state.missingAttributes.map((name) => [name, INDEXED_TYPES[SEARCH_ATTRIBUTES[name]]]),
    );
    await operatorService
      .addSearchAttributes({ namespace, searchAttributes })
      .catch(ignoring(ALREADY_EXISTS));
  }
}

// --- internal ---

function codeOf(error: unknown): number | undefined {
  return (error as { code?: number } | undefined)?.code;
}

function ignoring(code: number): (error: unknown) => void {
  return (error) => {
    if (codeOf(error) !== code) throw error;
  };
}
