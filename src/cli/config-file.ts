import { readFileSync } from 'node:fs';
import { LowrankError, messageOf } from '../errors.js';
import { checkValue, closest, kebabCase } from './options.js';
import type { GivenValues, OptionTable } from './options.js';

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new LowrankError('INPUT', `the configuration file cannot be read: ${messageOf(error)}`, {
      remedy: 'check the path of --config',
      cause: error,
    });
  }
}

/** The file's mapping. Throws USAGE where it is no YAML, or something else than a mapping. */
async function parse(path: string): Promise<Readonly<Record<string, unknown>>> {
  const text = read(path);
  // Loaded here: most runs have no configuration file.
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text);
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line;
    throw new LowrankError('USAGE', `not valid YAML: ${problem.code}`, {
      place: `in ${path}${line === undefined ? '' : `, line ${line}`}`,
      remedy: 'write one "option: value" a line',
      cause: problem,
    });
  }
  const value: unknown = document.toJS();
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new LowrankError('USAGE', 'a configuration file is a mapping of options to values', {
      place: `in ${path}`,
      remedy: 'write one "option: value" a line',
    });
  }
  return value as Readonly<Record<string, unknown>>;
}

/**
 * The options that a YAML file sets, checked like flags. Keys are the options' names as flags without the dashes
 * (`rank-scale`) or as in a report's settings (`rankScale`); null stands for "not set". Throws INPUT where the file cannot be
 * read, USAGE for an unknown or repeated key and for a value that does not fit.
 */
export async function readConfigFile(path: string, table: OptionTable): Promise<GivenValues> {
  const names = new Map(Object.keys(table).map((name) => [kebabCase(name), name]));
  const values: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(await parse(path))) {
    const name = names.get(kebabCase(key));
    const definition = name === undefined ? undefined : table[name];
    const place = `key '${key}' in ${path}`;
    if (name === undefined || definition === undefined) {
      const close = closest(kebabCase(key), [...names.keys()]);
      throw new LowrankError('USAGE', `unknown key '${key}'`, {
        place: `in ${path}`,
        remedy:
          close === undefined ? `known keys: ${[...names.keys()].join(', ') || 'none'}` : `did you mean '${close}'?`,
      });
    }
    if (name in values) {
      throw new LowrankError('USAGE', `option '${kebabCase(name)}' is set twice`, {
        place,
        remedy: 'keep one of the two',
      });
    }
    if (value !== null) values[name] = checkValue(definition, value, place);
  }
  return values;
}
