/** Parsers of option values. */

import { InvalidArgumentError } from '@commander-js/extra-typings';

/** Every value of an option that can be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/** A whole number from 1. Throws InvalidArgumentError. */
export function parseCount(value: string): number {
  if (!/^[1-9]\d{0,14}$/.test(value)) throw new InvalidArgumentError('Give a whole number from 1.');
  return Number(value);
}
