/** Tokens of texts. */

/** Tokens of a text. */
export type CountTokens = (text: string) => number;

/** The sequence length that the reference trains with. */
export const DEFAULT_TOKEN_BUDGET = 32_768;

/** Without a tokenizer: what those of today's model families make of programs and tool output, within a tenth. */
export const estimateTokens: CountTokens = (text) => Math.ceil(text.length / CHARS_PER_TOKEN);

// --- internal ---

const CHARS_PER_TOKEN = 3.5;
