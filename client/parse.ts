/** Values of options. */

import { InvalidArgumentError } from '@commander-js/extra-typings';

/** A whole number from 1. */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new InvalidArgumentError('expected a whole number from 1');
  return Number(text);
}

/** A number from 0 to 1. */
export function parseShare(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError('expected a number from 0 to 1');
  }
  return value;
}

/** USD above 0. */
export function parseUsd(text: string): number {
  const value = Number(text.replace(/^\$/, ''));
  if (!(value > 0) || !Number.isFinite(value)) {
    throw new InvalidArgumentError('expected US dollars above 0, like 25');
  }
  return value;
}
