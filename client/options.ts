/** Options that commands share, and parsers of their values. */

import { InvalidArgumentError } from '@commander-js/extra-typings';
import { BATCH_NAME_PATTERN } from '../domain/ids.ts';

export const STORE_OPTION = [
  '--store <location>',
  'folder or s3://bucket/prefix (default: what twinpatch.yaml names, or the nearest .twinpatch/store)',
] as const;
export const TEMPORAL_OPTION = [
  '--temporal <host:port>',
  'use this Temporal server instead of the embedded one',
] as const;
export const JSON_OPTION = ['--json', 'print JSON'] as const;

/** Every value of an option that can be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/** A whole number from 1. Throws InvalidArgumentError. */
export function parseCount(value: string): number {
  if (!/^[1-9]\d{0,14}$/.test(value)) throw new InvalidArgumentError('Give a whole number from 1.');
  return Number(value);
}

/** A whole number from 0. Throws InvalidArgumentError. */
export function parseWhole(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('Give a whole number from 0.');
  return Number(value);
}

/** A parser that takes `auto` too, for no value of one's own. */
export function orAuto<T>(parse: (value: string) => T): (value: string) => T | 'auto' {
  return (value) => (value === 'auto' ? value : parse(value));
}

/** Name of a batch. Throws InvalidArgumentError. */
export function parseBatchName(value: string): string {
  if (BATCH_NAME_PATTERN.test(value)) return value;
  throw new InvalidArgumentError(
    'Give lower-case letters, digits, dots, dashes and underscores, at most 64.',
  );
}

/** A number from 0 to 1. Throws InvalidArgumentError. */
export function parseShare(value: string): number {
  const share = Number(value);
  if (value.trim() === '' || !(share >= 0 && share <= 1)) {
    throw new InvalidArgumentError('Give a number from 0 to 1.');
  }
  return share;
}

/** US dollars above 0. Throws InvalidArgumentError. */
export function parseUsd(value: string): number {
  const usd = Number(value.replace(/^\$/, ''));
  if (!(usd > 0) || !Number.isFinite(usd)) {
    throw new InvalidArgumentError('Give US dollars above 0, like 25.');
  }
  return usd;
}

/** Tokens, with k, M or B for thousands, millions or billions. Throws InvalidArgumentError. */
export function parseTokens(value: string): number {
  const [, amount, unit = ''] = /^(\d{1,9}(?:\.\d+)?)([kMB]?)$/.exec(value) ?? [];
  const tokens = Math.round(Number(amount) * (TOKEN_UNITS[unit] ?? Number.NaN));
  if (!(tokens > 0)) throw new InvalidArgumentError('Give a number of tokens, like 500M.');
  return tokens;
}

/** Hours above 0. Throws InvalidArgumentError. */
export function parseHours(value: string): number {
  const hours = Number(value.replace(/h$/, ''));
  if (!(hours > 0) || !Number.isFinite(hours)) {
    throw new InvalidArgumentError('Give hours above 0, like 8.');
  }
  return hours;
}

/** A port whose neighbour 1,000 above, for the UI, exists too. Throws InvalidArgumentError. */
export function parsePort(value: string): number {
  const port = parseCount(value);
  if (port > MAX_PORT) throw new InvalidArgumentError(`Give a port from 1 to ${MAX_PORT}.`);
  return port;
}

const TOKEN_UNITS: Record<string, number> = { '': 1, k: 1e3, M: 1e6, B: 1e9 };
const MAX_PORT = 65_535 - 1000;
