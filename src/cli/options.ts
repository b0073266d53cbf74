import { LowrankError } from '../errors.js';
import { type Range, rangeFault } from '../range.js';

interface OptionBase {
  /** One line for `--help`, starting in lower case, without a full stop. */
  readonly description: string;
  /** One letter, without the dash. */
  readonly short?: string;
  /** What the value is called in `--help`: "path" is shown as `<path>`. Default: the type. */
  readonly placeholder?: string;
  /** The heading in `--help` under which the option is listed. */
  readonly group?: string;
  /** Other names, in camel case, which mean the same. */
  readonly also?: readonly string[];
  /** Names that it had before: they go on working, are in no help, and a note says what it is called now. */
  readonly formerly?: readonly string[];
  /** The run fails with USAGE where neither the command line nor the configuration file gives a value. */
  readonly required?: boolean;
}

/**
 * `--force`, and `--no-force` to undo a configuration file. With default true, `--no-verify` is the form shown in `--help`.
 * Without a default it is undefined where it is not given: a preset may then decide.
 */
export interface BooleanOption extends OptionBase {
  readonly type: 'boolean';
  readonly default?: boolean;
}

/** A finite number, or a whole number. */
export interface NumberOption extends OptionBase, Range {
  readonly default?: number;
}

/** Text, or one of `choices`. */
export interface StringOption extends OptionBase {
  readonly type: 'string';
  readonly default?: string;
  readonly choices?: readonly string[];
}

/** Text that may be given more than once: `--include a --include b`. */
export interface ListOption extends OptionBase {
  readonly type: 'list';
  readonly default?: readonly string[];
  /** Several texts may follow one flag, up to the next option: `--decay a b`. Operands then come before it. */
  readonly isVariadic?: boolean;
}

export type OptionDefinition = BooleanOption | NumberOption | StringOption | ListOption;

/** Options by their names in camel case: `rankScale` is the flag `--rank-scale`. */
export type OptionTable = Readonly<Record<string, OptionDefinition>>;

type ValueOf<Definition> = Definition extends { readonly type: 'boolean' }
  ? boolean
  : Definition extends { readonly type: 'number' | 'integer' }
    ? number
    : Definition extends { readonly type: 'list' }
      ? readonly string[]
      : Definition extends { readonly choices: readonly (infer Choice)[] }
        ? Choice
        : string;

type AlwaysSet = { readonly default: unknown } | { readonly required: true } | { readonly type: 'list' };

/** The values of a table's options: undefined where an option has neither a default nor `required`. */
export type SettingsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends AlwaysSet
    ? ValueOf<Table[Name]>
    : ValueOf<Table[Name]> | undefined;
};

/** Values by option name; only those that were given. */
export type GivenValues = Readonly<Record<string, unknown>>;

/** A name of an option that is not the one in its table. */
export interface OtherName {
  /** As it is in the table. */
  readonly name: string;
  readonly isFormer: boolean;
}

/** Other names of a table's options, in camel case. */
export function otherNames(table: OptionTable): ReadonlyMap<string, OtherName> {
  const found = new Map<string, OtherName>();
  for (const [name, { also = [], formerly = [] }] of Object.entries(table)) {
    for (const other of also) found.set(other, { name, isFormer: false });
    for (const other of formerly) found.set(other, { name, isFormer: true });
  }
  return found;
}

/** What is said to who uses a former name. */
export function formerNameNote(former: string, name: string): string {
  return `${former} is called ${name} now, and goes on working`;
}

/** `rankScale` → `--rank-scale`. */
export function flagOf(name: string): string {
  return `--${kebabCase(name)}`;
}

/** `rankScale` → `rank-scale`; a name in kebab case stays as it is. */
export function kebabCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function usageError(fact: string, place: string, remedy: string): LowrankError {
  return new LowrankError('USAGE', fact, { place, remedy });
}

function checkNumber(definition: NumberOption, value: number, shown: string, place: string): number {
  const fault = rangeFault(definition, value);
  if (fault !== undefined) throw usageError(`${shown} ${fault.fact}`, place, fault.remedy);
  return value;
}

function checkText(definition: StringOption, value: string, place: string): string {
  const { choices } = definition;
  if (choices === undefined || choices.includes(value)) return value;
  const close = closest(value, choices);
  const remedy = `${close === undefined ? '' : `did you mean '${close}'? `}choose one of ${choices.join(', ')}`;
  throw usageError(`'${value}' is not a choice`, place, remedy);
}

/** The value of a flag's text. Throws USAGE where it is not one of the option's type, range or choices. */
export function parseValue(name: string, definition: NumberOption | StringOption, text: string): unknown {
  const place = `option '${flagOf(name)}'`;
  switch (definition.type) {
    case 'number':
    case 'integer':
      return checkNumber(definition, text.trim() === '' ? Number.NaN : Number(text), `'${text}'`, place);
    case 'string':
      return checkText(definition, text, place);
  }
}

/** A value that came as data (YAML). Throws USAGE where it is not one of the option's type, range or choices. */
export function checkValue(definition: OptionDefinition, value: unknown, place: string): unknown {
  const shown = JSON.stringify(value) ?? String(value);
  switch (definition.type) {
    case 'boolean':
      if (typeof value !== 'boolean') throw usageError(`${shown} is not true or false`, place, 'give true or false');
      return value;
    case 'number':
    case 'integer':
      return checkNumber(definition, typeof value === 'number' ? value : Number.NaN, shown, place);
    case 'string':
      if (typeof value !== 'string') throw usageError(`${shown} is not text`, place, 'give text, in quotes if need be');
      return checkText(definition, value, place);
    case 'list': {
      const items: readonly unknown[] = Array.isArray(value) ? value : [value];
      if (!items.every((item) => typeof item === 'string')) {
        throw usageError(`${shown} is not a list of texts`, place, 'give a list of texts');
      }
      return items;
    }
  }
}

/**
 * The settings of one run: defaults < configuration file < flags, in the order of the table. Options without a value are
 * undefined. Throws USAGE where a required one is missing.
 */
export function mergeSettings(table: OptionTable, file: GivenValues, flags: GivenValues): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(table).map(([name, definition]) => {
      const value = flags[name] ?? file[name] ?? definition.default ?? (definition.type === 'list' ? [] : undefined);
      if (value === undefined && definition.required === true) {
        throw new LowrankError('USAGE', `option '${flagOf(name)}' is missing`, { remedy: definition.description });
      }
      return [name, value];
    }),
  );
}

/** The settings as they are saved in reports: every option with its value, null where it has none. */
export function resolveSettings(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, value ?? null]));
}

/** `text` as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A flag and its value; one that could be taken for a flag is joined to it. */
function flagWithValue(name: string, short: string | undefined, value: string): string[] {
  if (value.startsWith('-')) return [`${flagOf(name)}=${shellQuote(value)}`];
  return [short === undefined ? flagOf(name) : `-${short}`, shellQuote(value)];
}

function flagWords(name: string, definition: OptionDefinition, value: unknown): string[] {
  if (definition.type === 'boolean') return [value === true ? flagOf(name) : `--no-${kebabCase(name)}`];
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.flatMap((item) => flagWithValue(name, definition.short, String(item)));
}

/**
 * The command line that repeats a run in the same folder, whatever came from a configuration file: every setting that is not
 * the default.
 */
export function commandLineOf(
  programName: string,
  operands: readonly string[],
  table: OptionTable,
  settings: Readonly<Record<string, unknown>>,
): string {
  const flags = Object.entries(table).flatMap(([name, definition]) => {
    const value = settings[name];
    const fallback = definition.default ?? (definition.type === 'list' ? [] : undefined);
    const isDefault = value === undefined || JSON.stringify(value) === JSON.stringify(fallback);
    return isDefault ? [] : flagWords(name, definition, value);
  });
  const quoted = operands.map(shellQuote);
  const words = operands.some((operand) => operand.startsWith('-'))
    ? [...flags, '--', ...quoted]
    : [...quoted, ...flags];
  return [programName, ...words].join(' ');
}

/** Edit distance in which a swap of two neighbours is one edit (Damerau–Levenshtein, optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Infinity;
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    rows.push(current);
    for (let column = 1; column <= b.length; column++) {
      const substitution = at(row - 1, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const swap = isSwap ? at(row - 2, column - 2) + 1 : Infinity;
      current.push(Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, substitution, swap));
    }
  }
  return at(a.length, b.length);
}

/** The candidate a mistyped word probably means: at most two edits in five letters away; undefined where there is none. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= 0.4 * Math.max(word.length, candidate.length))
    .toSorted((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}
