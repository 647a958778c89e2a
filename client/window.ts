/** Samples under way at once, unless said otherwise: enough to keep every slot of one host busy. */
export const DEFAULT_WINDOW = 32;
