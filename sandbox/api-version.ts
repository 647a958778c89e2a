/** Which version of the API is spoken with an engine, also after it was replaced by a newer or an older one while we work. */

import type Docker from 'dockerode';

import { EngineUnavailable } from '../domain/ports.ts';

/** The oldest API this project is written for (Engine 20.10). */
const OLDEST_API = '1.41';
/** The newest one it was checked against; newer engines still speak it. */
const NEWEST_API = '1.47';

/**
 * The API version to speak with a server that offers `newest` and refuses what is older than `oldest`.
 * Throws EngineUnavailable when the two sides share none.
 */
export function negotiate(newest: string, oldest: string | undefined): string {
  if (compareVersions(newest, OLDEST_API) < 0) {
    throw new EngineUnavailable(
      `The Docker engine speaks API ${newest} at most; ${OLDEST_API} (Engine 20.10) is needed. Update the engine.`,
    );
  }
  const wanted = compareVersions(newest, NEWEST_API) < 0 ? newest : NEWEST_API;
  return oldest !== undefined && compareVersions(wanted, oldest) < 0 ? oldest : wanted;
}

/**
 * Has every call of a client that the engine refuses for its version made once more in the one that `agree` gives. A call whose
 * body is a stream is not: that is EngineUnavailable, and the next one goes well.
 */
export function keepAgreed(client: Docker, agree: () => Promise<string>): void {
  const modem = client.modem as Docker['modem'] & { version: string };
  const dial = modem.dial.bind(modem);
  let agreeing: Promise<void> | undefined;

  async function agreeNow(): Promise<void> {
    modem.version = `v${await agree()}`;
  }

  /** Why a call that was refused can't be made again; undefined where it can. */
  async function whyNot(refusal: Error, spoken: string, body: unknown): Promise<unknown> {
    try {
      // Unless somebody has since it was spoken.
      if (modem.version === spoken) {
        agreeing ??= agreeNow().finally(() => (agreeing = undefined));
        await agreeing;
      }
    } catch (error) {
      return error;
    }
    if (modem.version === spoken) return refusal;
    return isStream(body) ? changed(refusal) : undefined;
  }

  modem.dial = (options, callback) => {
    const spoken = modem.version;
    const again = { ...options }; // the modem writes the version into what it is given
    async function dialAgain(refusal: Error): Promise<void> {
      const reason = await whyNot(refusal, spoken, options.file);
      if (reason === undefined) dial(again, callback);
      else callback?.(reason as Error, null);
    }
    dial(options, (error, answer) => {
      if (isOfVersion(error)) void dialAgain(error);
      else callback?.(error, answer);
    });
  };
}

// --- internal ---

/** As every engine words it, and podman never does. */
function isOfVersion(error: Error | null): error is Error {
  const { statusCode } = (error ?? {}) as { statusCode?: number };
  return statusCode === 400 && /client version \S+ is too (new|old)/.test(error?.message ?? '');
}

function isStream(body: unknown): boolean {
  return typeof (body as { pipe?: unknown } | undefined)?.pipe === 'function';
}

function changed(cause: Error): EngineUnavailable {
  return new EngineUnavailable('The Docker engine was replaced by one of another version.', {
    cause,
  });
}

function compareVersions(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number);
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}
