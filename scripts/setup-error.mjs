/** Something only the user can put right: the message says what happened, why, and the next command. */
export class SetupError extends Error {
  name = 'SetupError';
}

/**
 * @param {unknown} error
 * @returns {string}
 */
export function messageOf(error) {
  if (!(error instanceof Error)) return String(error);
  // fetch says why only in the cause
  return error.message === 'fetch failed' && error.cause ? messageOf(error.cause) : error.message;
}
