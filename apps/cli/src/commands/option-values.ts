import {
  type Address,
  AppError,
  formatAddress,
  isAppError,
  nameInHost,
  parseAddress,
} from '@lockstep/contract';
import { parseStoreUrl } from '@lockstep/store/store-url';
import { InvalidArgumentError } from 'commander';

/** Parsers of flag values. What they throw, commander prints with the name of the flag or the variable. */
export function wholeNumber(lowest: number, highest: number) {
  return (input: string): number => {
    const value = Number(input);
    if (!/^\d+$/.test(input) || value < lowest || value > highest) {
      throw new InvalidArgumentError(`It takes a whole number from ${lowest} to ${highest}.`);
    }
    return value;
  };
}

export const portNumber = wholeNumber(1, 65_535);

export function address(input: string): Address {
  try {
    return parseAddress(input, 'address');
  } catch (error) {
    if (!isAppError(error)) throw error;
    throw new InvalidArgumentError('It takes an address, which looks like 127.0.0.1:7400 or [::1]:7400.');
  }
}

export function hostNames(input: string): string[] {
  const names = input.split(',').map((name) => name.trim());
  if (names.every((name) => nameInHost(name) === name.toLowerCase())) return names;
  throw new InvalidArgumentError('It takes host names without ports, with commas between them.');
}

/** One name as it is served, without a wildcard. */
export function hostName(input: string): string {
  const [name = '', ...more] = hostNames(input);
  if (more.length === 0 && name.includes('.')) return name.toLowerCase();
  throw new InvalidArgumentError('It takes one host name, such as api.example.com.');
}

export function httpUrl(input: string): string {
  if (URL.canParse(input) && /^https?:$/.test(new URL(input).protocol)) return input;
  throw new InvalidArgumentError('It takes an address like http://127.0.0.1:7400.');
}

/** For `--help`, where an object would be printed as JSON. */
export function shownAddress(value: Address): string {
  return `"${formatAddress(value)}"`;
}

/** Not a parser for commander, which would print what it refuses: an address may hold a password. */
export function checkStoreUrl(input: string | undefined): string {
  if (input === undefined) {
    throw new AppError(
      'bad_configuration',
      'no store is named; give --store redis://… or set LOCKSTEP_STORE',
    );
  }
  try {
    parseStoreUrl(input);
  } catch (error) {
    if (!isAppError(error)) throw error;
    throw new AppError('bad_configuration', `--store (LOCKSTEP_STORE): ${error.message}`, { cause: error });
  }
  return input;
}

/** A flag that may be given more than once. */
export function collect(input: string, before: string[] = []): string[] {
  return [...before, input];
}

export function keyValue(input: string, before: Record<string, string> = {}): Record<string, string> {
  const at = input.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It takes key=value.');
  return { ...before, [input.slice(0, at)]: input.slice(at + 1) };
}

export const seconds = wholeNumber(1, 240);
