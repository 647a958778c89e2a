/** Formats of rows, for those who choose one. */

export const FORMAT_NAMES = ['hermes', 'xml', 'openai', 'sharegpt', 'atif', 'raw'] as const;
export type FormatName = (typeof FORMAT_NAMES)[number];
