import { LowrankError } from '../errors.js';
import { flagOf, kebabCase, type OptionDefinition } from './options.js';
import type { CommandDefinition } from './command.js';

/** What a command can be told. */
export interface Known {
  readonly options: CommandDefinition['options'];
  /** Keys of the command's own file that stand for options of other commands: `dropPath: 'train.drop-path'`. */
  readonly keys?: CommandDefinition['keys'];
  /** Names of the options that were given, on the command line or in the configuration file. */
  readonly given: ReadonlySet<string>;
}

const frameFlags: ReadonlySet<string> = new Set(['--config', '--json', '--quiet', '--help', '--help-all', '--version']);

/** An option's flag in a text, unless it is part of a longer word. */
const flagPattern = /(?<![\w-])--[a-z](?:[a-z0-9-]*[a-z0-9])?(?![\w-])/g;

/** What stands in backticks is a command line of its own, here or in another program. */
const quoted = /`[^`]*`/g;

/** Options that say one thing, for commands of different kinds: where a command has the first, it is not told the second. */
const rivals = [['--input-shape', '--image-size']] as const;

/** Options that a text names. */
export function flagsIn(text: string): readonly string[] {
  return text.replaceAll(quoted, '').match(flagPattern) ?? [];
}

/** `--no-flip` and `--flip` → `flip`, where the command has an option of that name. */
function nameOf(flag: string, options: Known['options']): string | undefined {
  return Object.entries(options).find(([name, { type, also = [], formerly = [] }]) =>
    [name, ...also, ...formerly].some((each) => {
      const kebab = kebabCase(each);
      return flag === `--${kebab}` || (type === 'boolean' && flag === `--no-${kebab}`);
    }),
  )?.[0];
}

/** A flag under the name that the command's help has, where it was another one before. */
function currentFlag(flag: string, name: string, { formerly = [] }: OptionDefinition): string {
  return formerly.some((former) => flag === flagOf(former)) ? flagOf(name) : flag;
}

function keyOf(flag: string, keys: Known['keys'] = {}): string | undefined {
  return Object.entries(keys).find(([name]) => flag === `--${kebabCase(name)}`)?.[1];
}

/** Whether the command, or its file, can be told what the flag says. */
function isKnown(flag: string, { options, keys }: Known): boolean {
  return frameFlags.has(flag) || nameOf(flag, options) !== undefined || keyOf(flag, keys) !== undefined;
}

/** Whether a text says to take an option away that is not there. */
function takesAwayNothing(text: string, { options, given }: Known): boolean {
  const taken = [
    ...text.matchAll(/\b(?:leave out|drop|without|remove) (--[a-z][a-z0-9-]*)|\bleave (--[a-z0-9-]+) out\b/g),
  ];
  return taken.some(([, one, other]) => {
    const name = nameOf((one ?? other)!, options);
    return name !== undefined && !given.has(name);
  });
}

/** Flags as the command's user writes them: options in its file are keys there. */
function renamed(text: string, { options, keys }: Known): string {
  return text.replaceAll(flagPattern, (flag) => {
    const name = nameOf(flag, options);
    return name === undefined ? (keyOf(flag, keys) ?? flag) : currentFlag(flag, name, options[name]!);
  });
}

/**
 * A remedy as a command can follow it. It is a list of ways out, with "; " or ", or " between them: those that name an option
 * which the command lacks, or that take away one which was not given, are left out, and so are remarks in parentheses.
 * undefined where nothing is left.
 */
export function remedyFor(remedy: string, known: Known): string | undefined {
  const isLacking = (text: string): boolean => flagsIn(text).some((flag) => !isKnown(flag, known));
  // Ways out at even places, what stands between them at odd ones.
  const parts = remedy.split(/(; |, or )/);
  let result = '';
  for (let i = 0; i < parts.length; i += 2) {
    const way = parts[i]!.replaceAll(/ \([^()]*\)/g, (remark) => (isLacking(remark) ? '' : remark));
    const isRival = rivals.some(([first, second]) => flagsIn(way).includes(second) && flagsIn(result).includes(first));
    if (isLacking(way) || isRival || takesAwayNothing(way, known)) continue;
    result += result === '' ? way : `${parts[i - 1]}${way}`;
  }
  return result === '' ? undefined : renamed(result, known);
}

/** The same error in the words of a command. */
export function errorFor(error: LowrankError, known: Known): LowrankError {
  const remedy = error.remedy === undefined ? undefined : remedyFor(error.remedy, known);
  const fact = renamed(error.fact, known);
  const place = error.place === undefined ? undefined : renamed(error.place, known);
  if (remedy === error.remedy && fact === error.fact && place === error.place) return error;
  return new LowrankError(error.code, fact, {
    ...(place === undefined ? {} : { place }),
    ...(remedy === undefined ? {} : { remedy }),
    cause: error,
  });
}
