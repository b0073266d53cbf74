import { Command, CommanderError, Option } from 'commander';
import { LowrankError } from '../errors.js';
import type { CommandDefinition } from './command.js';
import { flagNames, meantCommand, meantOptions } from './meant.js';
import {
  flagOf,
  formerNameNote,
  kebabCase,
  otherNames,
  parseValue,
  shellQuote,
  type GivenValues,
  type OptionDefinition,
} from './options.js';
import { tool } from '../version.js';

/** What a command line asks for: to run with these values, or only to show a text. */
export type Parsed =
  | {
      readonly kind: 'run';
      readonly arguments: Readonly<Record<string, string | undefined>>;
      /** Only the options that were given. */
      readonly flags: GivenValues;
      readonly isJson: boolean;
      readonly isQuiet: boolean;
      readonly configPath: string | undefined;
      /** A line for each former name of an option that was used. */
      readonly notes: readonly string[];
    }
  | { readonly kind: 'show'; readonly text: string };

const FRAME_GROUP = 'General options:';
const frameNames = ['config', 'json', 'quiet', 'help', 'help-all', 'version'];
/** Shows every option. */
const helpAll = '--help-all';
/** Examples of the help that shows the usual options alone. */
const mostExamples = 3;

const PLACEHOLDERS = { string: 'text', list: 'text', number: 'number', integer: 'number' } as const;

/** The flags of one option. A boolean has two; the one that changes the default is shown. */
function optionsOf(name: string, definition: OptionDefinition): readonly Option[] {
  const { description, short, group, placeholder } = definition;
  const letter = short === undefined ? '' : `-${short}, `;
  const grouped = (option: Option): Option => (group === undefined ? option : option.helpGroup(`${group}:`));
  if (definition.type === 'boolean') {
    const no = `--no-${kebabCase(name)}`;
    const yes = `${definition.default ? '' : letter}${flagOf(name)}`;
    return definition.default
      ? [new Option(yes).hideHelp(), grouped(new Option(`${letter}${no}`, description))]
      : [grouped(new Option(yes, description)), new Option(no).hideHelp()];
  }
  const value =
    placeholder ??
    (definition.type === 'string' && definition.choices !== undefined ? 'name' : PLACEHOLDERS[definition.type]);
  const many = definition.type === 'list' && definition.isVariadic === true ? '...' : '';
  const option = grouped(new Option(`${letter}${flagOf(name)} <${value}${many}>`, description));
  if (definition.type === 'string' && definition.choices !== undefined) option.choices(definition.choices);
  const items: string[] = [];
  option.argParser((text: string): unknown => {
    if (definition.type !== 'list') return parseValue(name, definition, text);
    items.push(text);
    return [...items];
  });
  // Only for the help: the values are merged in mergeSettings.
  return [definition.default === undefined ? option : option.default(definition.default)];
}

/** A commander program that never writes or exits: it throws `CommanderError`, and `shown` collects what it would print. */
function silent(program: Command, shown: string[]): Command {
  return program
    .exitOverride()
    .configureOutput({ writeOut: (text) => shown.push(text), writeErr: () => {} })
    .helpOption('-h, --help', 'show this help')
    .version(`lowrank ${tool.version}`, '-V, --version', 'show the version');
}

/** Words of one command line that another program would take: the remedy, undefined where there is none. */
type Guess = (word: string) => string | undefined;

/** What is said of an option that there is not. */
function guessOption(known: readonly string[]): Guess {
  return (flag) => {
    const flags = meantOptions(flag.replace(/^--?/, '').replace(/=.*$/s, ''), known).map((name) => `--${name}`);
    const isSingleDash = /^-[^-]/.test(flag) && known.includes(flag.slice(1));
    if (flags.length === 0) return isSingleDash ? `did you mean -${flag}?` : undefined;
    return `did you mean ${flags.join(' or ')}?`;
  };
}

/** What is said of a command that there is not. */
function guessCommand(names: readonly string[]): Guess {
  return (word) => {
    if (/\.onnx$/i.test(word)) return `say what to do with it: lowrank convert ${shellQuote(word)}`;
    const name = meantCommand(word);
    if (name === undefined || !names.includes(name)) return undefined;
    const why = /^quant/i.test(word) ? ' (it factorizes; lowrank does not quantize)' : '';
    return `did you mean ${name}?${why}`;
  };
}

/** Commander's complaint as a USAGE error: fact, then what may have been meant, or the way to the help. */
function usageError(error: CommanderError, programName: string, guess: Guess): LowrankError {
  const [fact = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const close = suggestion === undefined ? undefined : /Did you mean (?:one of )?(.+)\?/.exec(suggestion)?.[1];
  const unknown = /^unknown (?:option|command) '(.*)'$/s.exec(fact)?.[1];
  const guessed = unknown === undefined ? undefined : guess(unknown);
  const remedy = guessed ?? (close === undefined ? `see '${programName} --help'` : `did you mean ${close}?`);
  return new LowrankError('USAGE', fact.replace('. Expected', ': expected').replace(/\.$/, ''), {
    remedy,
    cause: error,
  });
}

/** Runs commander; resolves to what it shows, or to undefined where the command line is complete. Throws USAGE. */
function parseWith(
  program: Command,
  words: readonly string[],
  shown: readonly string[],
  guess: Guess,
): string | undefined {
  try {
    program.parse(words, { from: 'user' });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return shown.join('');
    throw usageError(error, program.name(), guess);
  }
}

/**
 * The meaning of `words` (the command line after the command's name). Throws USAGE for unknown options, values that do not
 * fit, and missing or surplus arguments.
 */
export function parseCommandLine(command: CommandDefinition, programName: string, words: readonly string[]): Parsed {
  const shown: string[] = [];
  const program = new Command(programName).description(command.summary);
  const argumentNames = Object.keys(command.arguments);
  for (const [name, { description, isOptional }] of Object.entries(command.arguments)) {
    program.argument(isOptional === true ? `[${name}]` : `<${name}>`, description);
  }
  const isAll = words.includes(helpAll);
  const usual = isAll ? undefined : command.usual;
  for (const name of inOrder(command, usual)) {
    const definition = command.options[name]!;
    const isShown = usual === undefined || usual.includes(name);
    const { group: _group, ...ungrouped } = definition;
    for (const option of optionsOf(name, usual === undefined ? definition : ungrouped)) {
      program.addOption(isShown ? option : option.hideHelp());
    }
  }
  const others = otherNames(command.options);
  for (const [other, { name }] of others) {
    const { short: _short, default: _default, ...definition } = command.options[name]!;
    for (const option of optionsOf(other, definition)) program.addOption(option.hideHelp());
  }
  program
    .optionsGroup(FRAME_GROUP)
    .option('--config <file.yaml>', 'take options from a file; flags win over it')
    .option('--json', 'print the result as one JSON document')
    .option('-q, --quiet', 'print no progress, notes or warnings')
    .addHelpText('after', examplesOf(command, usual === undefined ? Infinity : mostExamples));
  if (command.usual === undefined) program.addOption(new Option(helpAll).hideHelp());
  else program.option(helpAll, `show all ${Object.keys(command.options).length} options`);
  silent(program, shown);
  let operands: readonly string[] = [];
  program.action(() => {
    operands = program.args;
  });
  const text = parseWith(
    program,
    isAll ? ['--help'] : words,
    shown,
    guessOption([...flagNames(command.options), ...frameNames]),
  );
  if (text !== undefined) return { kind: 'show', text };
  const isGiven = (name: string): boolean => program.getOptionValueSource(name) === 'cli';
  const flags = new Map<string, unknown>();
  const notes: string[] = [];
  for (const name of Object.keys(command.options)) {
    if (isGiven(name)) flags.set(name, program.getOptionValue(name));
  }
  for (const [other, { name, isFormer }] of others) {
    if (!isGiven(other)) continue;
    if (flags.has(name)) {
      throw new LowrankError('USAGE', `${flagOf(other)} and ${flagOf(name)} are one option, given twice`, {
        remedy: 'keep one of the two',
      });
    }
    flags.set(name, program.getOptionValue(other));
    if (isFormer) notes.push(formerNameNote(flagOf(other), flagOf(name)));
  }
  const own: { json?: boolean; quiet?: boolean; config?: string } = program.opts();
  return {
    kind: 'run',
    arguments: Object.fromEntries(argumentNames.map((name, index) => [name, operands[index]])),
    flags: Object.fromEntries(flags),
    notes,
    isJson: own.json === true,
    isQuiet: own.quiet === true,
    configPath: own.config,
  };
}

/** The names of all options, the usual ones first. */
function inOrder({ options }: CommandDefinition, usual: readonly string[] = []): readonly string[] {
  return [...new Set([...usual, ...Object.keys(options)])];
}

function examplesOf(command: CommandDefinition, most: number): string {
  if (command.examples.length === 0) return '';
  const lines = command.examples
    .slice(0, most)
    .flatMap(({ description, command: line }) => [`  # ${description}`, `  ${line}`]);
  return ['', 'Examples:', ...lines].join('\n');
}

/** What `lowrank` itself shows for `words`: its help, or its version. Throws USAGE for everything else. */
export function parseRoot(
  commands: Readonly<Record<string, { readonly summary: string }>>,
  description: string,
  words: readonly string[],
): string {
  if (words.length === 0) {
    const names = Object.keys(commands).join(', ');
    throw new LowrankError('USAGE', 'no command is given', {
      remedy: `choose one of ${names}, or see 'lowrank --help'`,
    });
  }
  const shown: string[] = [];
  const program = silent(new Command('lowrank'), shown)
    .description(description)
    .usage('<command> [options]')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText(
      'after',
      `
First steps:
  lowrank convert model.onnx
  lowrank eval model.lowrank.onnx --vs model.onnx --data photos
  lowrank train model.lowrank.onnx --teacher model.onnx --data photos

Run 'lowrank <command> --help' for the options of a command. Each is also a program of its own: lowrank-<command>.
What to type in your case: docs/recipes.md, beside the program.`,
    );
  for (const [name, { summary }] of Object.entries(commands)) program.command(name).description(summary);
  return parseWith(program, words, shown, guessCommand(Object.keys(commands))) ?? shown.join('');
}
