/** An embedded Temporal server for one test file: in memory, on a free port, with our namespace and search attributes. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { SERVER_VALUES } from '../../client/server.ts';
import { NAMESPACE } from '../../domain/ids.ts';
import { SEARCH_ATTRIBUTES } from '../../domain/search-attributes.ts';
import { findTemporalCli } from '../../scripts/temporal-cli.mjs';
import { freePort } from './free-port.ts';

export interface TestServer {
  address: string;
  client: Client;
  connection: NativeConnection;
  close(): Promise<void>;
}

/** `dynamic`: values of the server's dynamic configuration; `more`: further options of its command line. */
export async function startTestServer(
  dynamic: Record<string, unknown> = {},
  more: string[] = [],
): Promise<TestServer> {
  const program = await findTemporalCli();
  if (program === undefined) throw new Error('no Temporal CLI: run `node scripts/setup.mjs` first');
  const port = await freePort();
  const child = spawn(
    program,
    [
      ...['server', 'start-dev', '--headless', '--log-level', 'error', '--ip', '127.0.0.1'],
      ...['--port', String(port), '--namespace', NAMESPACE],
      ...Object.entries({ ...SERVER_VALUES, ...dynamic }).flatMap(([name, value]) => [
        '--dynamic-config-value',
        `${name}=${JSON.stringify(value)}`,
      ]),
      ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => [
        '--search-attribute',
        `${name}=${type}`,
      ]),
      ...more,
    ],
    { stdio: 'ignore' },
  );
  const address = `127.0.0.1:${port}`;
  const connected = await connect(address, child);
  const client = new Client({ connection: connected, namespace: NAMESPACE });
  const connection = await NativeConnection.connect({ address });
  return {
    address,
    client,
    connection,
    async close() {
      await connection.close();
      await connected.close();
      const closed = once(child, 'exit');
      child.kill('SIGKILL');
      await closed;
    },
  };
}

// --- internal ---

/** Once the namespace is there, not only the port. */
async function connect(address: string, child: ChildProcess): Promise<Connection> {
  for (;;) {
    if (child.exitCode !== null) throw new Error('the test server ended by itself');
    try {
      const connection = await Connection.connect({ address, connectTimeout: '1s' });
      await connection.workflowService.describeNamespace({ namespace: NAMESPACE });
      return connection;
    } catch {
      await sleep(50);
    }
  }
}
