import { LowrankError } from '../errors.js';
import { flagOf } from './options.js';

/** Options that only say how, by name, with those of which at least one must say what: `batchSize: ['val']`. */
export type OptionOwners = Readonly<Record<string, readonly string[]>>;

/** A line for each option that is given without any of those that it belongs to: it does nothing. */
export function orphanNotes(settings: Readonly<Record<string, unknown>>, owners: OptionOwners): readonly string[] {
  const isGiven = (name: string): boolean => settings[name] !== undefined && settings[name] !== false;
  return Object.entries(owners).flatMap(([name, own]) =>
    isGiven(name) && !own.some(isGiven) ? [`${flagOf(name)} does nothing without ${own.map(flagOf).join(' or ')}`] : [],
  );
}

/** Throws USAGE where an option is given without any of those that it belongs to. */
export function refuseOrphans(settings: Readonly<Record<string, unknown>>, owners: OptionOwners): void {
  const isGiven = (name: string): boolean => settings[name] !== undefined && settings[name] !== false;
  const orphan = Object.entries(owners).find(([name, own]) => isGiven(name) && !own.some(isGiven));
  if (orphan === undefined) return;
  const [name, own] = orphan;
  const flags = own.map(flagOf).join(' or ');
  throw new LowrankError('USAGE', `${flagOf(name)} does nothing without ${flags}`, {
    remedy: `give ${flags} and images, or leave it out`,
  });
}
