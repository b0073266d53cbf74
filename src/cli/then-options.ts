import { resolve } from 'node:path';
import { LowrankError } from '../errors.js';
import type { ThenOptions } from '../warmup/then.js';
import { thenNames } from '../warmup/then-names.js';
import { convertOptions } from './convert-options.js';
import { flagNames, meantOptions } from './meant.js';
import { closest, flagOf, kebabCase, type OptionDefinition, type OptionTable } from './options.js';
import { parseCommandLine } from './parse.js';
import { readRanks } from './rank-file.js';

const table: OptionTable = Object.fromEntries(thenNames.map((name) => [name, convertOptions[name]]));

/** What messages call the options of `convert` that stand in `--then`. */
export const thenKeys: Readonly<Record<string, string>> = Object.fromEntries(
  thenNames.map((name) => [name, `--then ${kebabCase(name)}`]),
);

/**
 * What "rank-scale 0.25 --scheme channel" says: options of `convert`, the first with or without its dashes. Throws USAGE for words that
 * are none, and for options that say what is settled otherwise here; INPUT or FORMAT for a rank file.
 */
export function parseThen(text: string): ThenOptions {
  const [first, ...others] = wordsOf(text);
  if (first === undefined) throw wrong('is empty', `give options of convert, such as ${example}`);
  const words = [first.startsWith('-') ? first : `--${first}`, ...others];
  const strange = words.find((word) => isOther(word));
  if (strange !== undefined) {
    throw wrong(
      `has '${strange}', which says nothing there`,
      'leave it out: the training says where it goes and how it runs',
    );
  }
  const { ranks, calibrate, ...options } = parsedOptions(words, text);
  return {
    ...options,
    ...(ranks === undefined ? {} : { ranks: readRanks(ranks as string) }),
    ...(calibrate === undefined ? {} : { calibrate: placeOf(calibrate as string) }),
  };
}

const example = '`rank-scale 0.25 --scheme channel`';

function parsedOptions(words: readonly string[], text: string): Readonly<Record<string, unknown>> {
  const command = {
    name: 'then',
    summary: '',
    // As many as there are words: all that belong to no option are found.
    arguments: Object.fromEntries(words.map((_, at) => [String(at), { description: '', isOptional: true }])),
    options: table,
    examples: [],
    run: () => Promise.reject(new LowrankError('INTERNAL', 'no command')),
  };
  const parsed = parseCommandLine(command, 'lowrank convert', words);
  if (parsed.kind === 'show' || parsed.isJson || parsed.isQuiet || parsed.configPath !== undefined) {
    throw wrong(`is '${text}'`, `give options of convert, such as ${example}`);
  }
  const word = parsed.arguments['0'];
  if (word === undefined) return parsed.flags;
  const known = flagNames(table);
  const [meant = closest(word, known)] = meantOptions(word, known);
  throw wrong(
    `has '${word}', which is no option`,
    meant === undefined ? `give options of convert, such as ${example}` : `did you mean ${flagOf(meant)}?`,
  );
}

/** Whether a word is an option of `convert`, but none of a conversion within a training. */
function isOther(word: string): boolean {
  const name = /^--(?:no-)?([a-z-]+)(?:=|$)/.exec(word)?.[1];
  const isOf = (names: readonly string[]): boolean => name !== undefined && names.includes(name);
  const short = /^-([a-z])$/.exec(word)?.[1];
  const isShort = Object.values<OptionDefinition>(convertOptions).some((each) => each.short === short);
  return (isOf(flagNames(convertOptions)) && !isOf(flagNames(table))) || (short !== undefined && isShort);
}

/** A training that goes on elsewhere finds the same images. */
function placeOf(calibrate: string): string {
  return calibrate === 'synthetic' || calibrate === 'none' ? calibrate : resolve(calibrate);
}

/** As a shell splits it, as far as quotes go. */
function wordsOf(text: string): readonly string[] {
  const words = text.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

function wrong(fact: string, remedy: string): LowrankError {
  return new LowrankError('USAGE', `--then ${fact}`, { remedy });
}
