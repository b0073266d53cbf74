import { LowrankError, messageOf } from '../errors.js';
import { readRegularText, unusable } from '../files/regular.js';
import { meantOptions } from './meant.js';
import {
  checkValue,
  closest,
  formerNameNote,
  kebabCase,
  otherNames,
  type GivenValues,
  type OptionTable,
  type OtherName,
} from './options.js';

function read(path: string, what: string, remedy: string): string {
  try {
    return readRegularText(path);
  } catch (error) {
    throw unusable(error, `the ${what} cannot be read`, remedy);
  }
}

/** A long study file has a hundredth of it. */
const longestText = 2 ** 16;
const mostBrackets = 1000;
/** How often a text may say by an alias what it has said before. */
const mostAliases = 100;

/** What the text says, as values of JSON. Throws USAGE where it is no YAML, or would say more than it is long by aliases. */
async function parseYaml(text: string, path: string): Promise<unknown> {
  // Loaded here: most runs have no configuration file.
  const { parseDocument, visit } = await import('yaml');
  const invalid = (reason: string, line?: number, cause?: unknown): LowrankError =>
    new LowrankError('USAGE', `not valid YAML: ${reason}`, {
      place: `in ${path}${line === undefined ? '' : `, line ${line}`}`,
      remedy: 'write one "option: value" a line',
      cause,
    });
  // The library goes on until its stack ends, which may end the process.
  const brackets = text.match(/[[{]/g)?.length ?? 0;
  if (brackets > mostBrackets || /(?:[-?:][ \t]+){100}/.test(text)) throw invalid('nested too deep');
  // The library's own search for repeated keys compares each with every other.
  const document = parseDocument(text, { uniqueKeys: false, logLevel: 'error' });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw invalid(problem.code, problem.linePos?.[0].line, problem);
  visit(document, {
    Map: (_, { items }) => {
      const keys = new Set<unknown>();
      for (const { key } of items) {
        const name = String(key);
        if (keys.has(name)) throw invalid('DUPLICATE_KEY', lineOf(text, key));
        keys.add(name);
      }
    },
  });
  try {
    const value: unknown = document.toJS({ maxAliasCount: mostAliases });
    // What holds itself cannot be written.
    JSON.stringify(value);
    return value;
  } catch (error) {
    const reason = error instanceof ReferenceError ? messageOf(error) : 'an alias (*) stands inside what it names (&)';
    throw invalid(reason, undefined, error);
  }
}

/** The line of a node of the library, from 1. */
function lineOf(text: string, node: unknown): number | undefined {
  const range = (node as { readonly range?: readonly number[] | null } | null)?.range;
  return range === null || range === undefined ? undefined : text.slice(0, range[0]).split('\n').length;
}

/**
 * The mapping that a YAML file holds; `what` names the file in messages. Throws INPUT where it cannot be read, USAGE where
 * it is no YAML, or something else than a mapping.
 */
export async function readYaml(
  path: string,
  what = 'configuration file',
  unreadable = 'check the path of --config',
): Promise<Readonly<Record<string, unknown>>> {
  const text = read(path, what, unreadable);
  if (text.length > longestText) {
    throw new LowrankError('USAGE', `a ${what} of ${text.length} characters, where ${longestText} are the most`, {
      place: `in ${path}`,
      remedy: 'check that it is the right one',
    });
  }
  const value = await parseYaml(text, path);
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new LowrankError('USAGE', `a ${what} is a mapping of options to values`, {
      place: `in ${path}`,
      remedy: 'write one "option: value" a line',
    });
  }
  return value as Readonly<Record<string, unknown>>;
}

/**
 * The options that a YAML file sets, checked like flags. Keys are the options' names as flags without the dashes
 * (`rank-scale`) or as in a report's settings (`rankScale`); null stands for "not set". A line about each former name goes to
 * `note`. Throws INPUT where the file cannot be read, USAGE for an unknown or repeated key and for a value that does not fit.
 */
export async function readConfigFile(
  path: string,
  table: OptionTable,
  note?: (line: string) => void,
): Promise<GivenValues> {
  return checkKeys(await readYaml(path), table, path, { note });
}

/** The options of a mapping in the file at `path`, whose keys are `parent` and a dot longer in messages. Throws USAGE. */
export function checkKeys(
  mapping: Readonly<Record<string, unknown>>,
  table: OptionTable,
  path: string,
  { parent = '', note }: { readonly parent?: string; readonly note?: ((line: string) => void) | undefined } = {},
): GivenValues {
  const others = otherNames(table);
  const values: Record<string, unknown> = {};
  for (const { name, value, place } of entriesOf(mapping, Object.keys(table), path, { parent, others })) {
    const { name: own, isFormer } = others.get(name) ?? { name, isFormer: false };
    values[own] = checkValue(table[own]!, value, place);
    if (isFormer) note?.(formerNameNote(`key '${parent}${kebabCase(name)}'`, `'${parent}${kebabCase(own)}'`));
  }
  return values;
}

/** An entry of a mapping, under the name in camel case that is known; `place` is for messages. */
export interface KnownEntry {
  readonly name: string;
  readonly value: unknown;
  readonly place: string;
}

/** The entries that are not null. Throws USAGE for a key that is not one of `known` (camel case), or is there twice. */
export function entriesOf(
  mapping: Readonly<Record<string, unknown>>,
  known: readonly string[],
  path: string,
  {
    parent = '',
    others = new Map(),
  }: { readonly parent?: string; readonly others?: ReadonlyMap<string, OtherName> } = {},
): readonly KnownEntry[] {
  const names = new Map([...known, ...others.keys()].map((name) => [kebabCase(name), name]));
  const seen = new Set<string>();
  return Object.entries(mapping).flatMap(([key, value]): readonly KnownEntry[] => {
    const name = names.get(kebabCase(key));
    const full = `${parent}${key}`;
    const place = `key '${full}' in ${path}`;
    if (name === undefined) {
      const kebab = kebabCase(key);
      const own = known.map(kebabCase);
      const close = meantOptions(kebab, own)[0] ?? closest(kebab, own);
      throw new LowrankError('USAGE', `unknown key '${full}'`, {
        place: `in ${path}`,
        remedy: close === undefined ? `known keys: ${own.join(', ') || 'none'}` : `did you mean '${close}'?`,
      });
    }
    const means = others.get(name)?.name ?? name;
    if (seen.has(means)) {
      throw new LowrankError('USAGE', `option '${kebabCase(means)}' is set twice`, {
        place,
        remedy: 'keep one of the two',
      });
    }
    seen.add(means);
    return value === null ? [] : [{ name, value, place }];
  });
}
