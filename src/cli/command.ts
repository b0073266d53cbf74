import type { Progress } from '../report/progress.js';
import type { Terminal } from '../report/terminal.js';
import type { OptionTable, SettingsOf } from './options.js';

export interface ArgumentDefinition {
  /** One line for `--help`, starting in lower case, without a full stop. */
  readonly description: string;
  /** Default false. */
  readonly isOptional?: boolean;
}

/** Positional arguments in their order; optional ones last. */
export type ArgumentTable = Readonly<Record<string, ArgumentDefinition>>;

export type ArgumentsOf<Table extends ArgumentTable> = {
  readonly [Name in keyof Table]: Table[Name] extends { readonly isOptional: true } ? string | undefined : string;
};

export interface Example {
  /** Without the prompt: "lowrank convert model.onnx -o small.onnx". */
  readonly command: string;
  readonly description: string;
}

/** What a command gets from the frame. */
export interface CommandContext<Arguments, Settings> {
  readonly arguments: Arguments;
  /** Defaults < configuration file < flags, each value checked. */
  readonly settings: Settings;
  /** `settings` for reports: every option by name, defaults included, null where there is no value. */
  readonly resolvedSettings: Readonly<Record<string, unknown>>;
  /** Names of the options that were given, on the command line or in the configuration file. */
  readonly given: ReadonlySet<string>;
  /** As it was called: "lowrank train", "lowrank-train". */
  readonly programName: string;
  /** The command line that repeats this run without a configuration file. */
  readonly commandLine: string;
  /** The file of `--config`. */
  readonly configPath?: string | undefined;
  /** Fires at SIGINT, SIGTERM and SIGHUP. Stop soon, save what is worth it, and throw ABORTED or return. */
  readonly signal: AbortSignal;
  /** A line on stderr that disappears; a line in half a minute where stderr is not a terminal; silent with --quiet. */
  readonly progress: Progress;
  /** A line on stderr; silent with --quiet. */
  readonly note: (line: string) => void;
  /** "warning: …" on stderr; silent with --quiet. */
  readonly warn: (line: string) => void;
  /** Whether --quiet was given: nothing but errors goes to stderr. */
  readonly isQuiet: boolean;
}

/** What a command hands back; the frame prints one of the two on stdout. */
export interface CommandResult {
  /** The document of `--json`. */
  readonly document: unknown;
  /** The text for people. Ends with a line break. */
  text(terminal: Terminal): string;
  /** 1 where the command did its work and found something wrong. Default: 0. */
  readonly exitCode?: 0 | 1;
}

/**
 * One command: one file in src/cli that exports it as `command`, one line in `COMMANDS` (lowrank.ts), one launcher in bin/.
 */
export interface CommandDefinition<
  Arguments extends ArgumentTable = ArgumentTable,
  Options extends OptionTable = OptionTable,
> {
  readonly name: string;
  /** What it does, in one line: the same as in `COMMANDS`. */
  readonly summary: string;
  readonly arguments: Arguments;
  /** `--json`, `--quiet`, `--config`, `--help` and `--version` are the frame's. */
  readonly options: Options;
  /** The options that `--help` shows, in this order; the others are for `--help-all`. Default: all. */
  readonly usual?: readonly (keyof Options & string)[];
  /** Options of other commands that are keys of a file which this one reads, for messages: `dropPath: 'train.drop-path'`. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly examples: readonly Example[];
  run(context: CommandContext<ArgumentsOf<Arguments>, SettingsOf<Options>>): Promise<CommandResult>;
}

/** The identity; it gives `run` the types of the arguments and options. */
export function defineCommand<const Arguments extends ArgumentTable, const Options extends OptionTable>(
  command: CommandDefinition<Arguments, Options>,
): CommandDefinition<Arguments, Options> {
  return command;
}
