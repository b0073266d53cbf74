import { LowrankError } from '../errors.js';
import { errorFor } from './advice.js';
import { isSaving } from '../files/saving.js';
import type { CommandDefinition } from './command.js';
import { commandLineOf, mergeSettings, resolveSettings, type GivenValues } from './options.js';
import { createOutput, toLowrankError, watchStandardStreams, type Output } from './output.js';
import { parseCommandLine, parseRoot, type Parsed } from './parse.js';

/** Exit codes of all commands. */
const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

export interface CommandEntry {
  /** The command's own summary, here so that `lowrank --help` loads no command. */
  readonly summary: string;
  load(): Promise<{ readonly command: CommandDefinition }>;
}

export type CommandRegistry = Readonly<Record<string, CommandEntry>>;

/** All commands, one entry each. */
export const COMMANDS: CommandRegistry = {
  convert: {
    summary: 'replace convolutions and dense layers by low-rank pairs, verified',
    load: () => import('./convert.js'),
  },
  compare: {
    summary: 'fit the model with every initialization at equal ranks, and show what each loses',
    load: () => import('./compare.js'),
  },
  inspect: {
    summary: 'show layers, ranks and spectra of a full-rank or factorized model',
    load: () => import('./inspect.js'),
  },
  train: {
    summary: 'train or fine-tune a model, on labelled images or towards its original on any',
    load: () => import('./train.js'),
  },
  artifacts: {
    summary: 'write training as ONNX graphs, so that any language with onnxruntime can train the model',
    load: () => import('./artifacts.js'),
  },
  eval: {
    summary: 'measure the accuracy of a model on labelled images, alone or against another',
    load: () => import('./eval.js'),
  },
  study: {
    summary: 'train a grid of low-rank starts and compare the initializations; resumes',
    load: () => import('./study.js'),
  },
  create: {
    summary: 'write a ResNet, EfficientNet, VGG, LeNet-5 or perceptron with fresh weights',
    load: () => import('./create.js'),
  },
  merge: {
    summary: 'turn low-rank pairs back into single layers where that is cheaper, and fold BatchNormalization',
    load: () => import('./merge.js'),
  },
  data: {
    summary: 'check a data set of images, or pack it into shards of reduced images',
    load: () => import('./data.js'),
  },
  doctor: {
    summary: 'show what this machine has, and how to get what is missing',
    load: () => import('./doctor.js'),
  },
};

const DESCRIPTION =
  'Factorize the convolutions and dense layers of ONNX vision models, verify the result, and train it.';

/** Where the process was interrupted: ends it without waiting for native code. */
let quit: ((code: number) => void) | undefined;

/** Leaves the process: the only place that does. Everything that matters is written and closed by then. */
function exit(code: number): never {
  quit?.(code);
  process.exit(code);
}

/** An exit code for what was thrown: a wrong command line or configuration file is 2, an interruption 130. */
function exitCodeOf(error: LowrankError): number {
  if (error.code === 'USAGE') return EXIT.usage;
  return error.code === 'ABORTED' ? EXIT.interrupted : EXIT.failed;
}

/** Node's own `AbortError` is the user's interruption too. */
function interpret(error: unknown, signal: AbortSignal): LowrankError {
  const isAbort = error instanceof Error && error.name === 'AbortError' && signal.aborted;
  return isAbort ? new LowrankError('ABORTED', 'interrupted', { cause: error }) : toLowrankError(error);
}

function interruption(): LowrankError {
  return new LowrankError('ABORTED', 'interrupted');
}

/** Milliseconds that an interrupted command has to stop, beside what it must save. */
const patience = 1500;

/**
 * The first SIGINT, SIGTERM or SIGHUP asks the command to stop, the second ends the process at once; as does the time, once
 * there is nothing to save.
 */
function interruptible(output: Output, isJson: boolean): AbortSignal {
  const controller = new AbortController();
  const leave = (): void => {
    output.progress.done();
    // Its reader may have stopped too: nobody waits for it.
    if (isJson) void output.failure(interruption(), EXIT.interrupted);
    exit(EXIT.interrupted);
  };
  const interrupt = (): void => {
    if (controller.signal.aborted) {
      leave();
      return;
    }
    output.note('interrupted: stopping cleanly; once more to stop at once');
    void import('../runtime/quit.js').then(async ({ loadQuit }) => (quit = await loadQuit()));
    const until = Date.now() + patience;
    setInterval(() => {
      if (Date.now() >= until && !isSaving()) leave();
    }, 50);
    controller.abort(interruption());
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  return controller.signal;
}

async function runCommand(
  command: CommandDefinition,
  programName: string,
  parsed: Parsed & { readonly kind: 'run' },
  output: Output,
): Promise<number> {
  // Node asks for it wherever a path is resolved or a worker begins.
  process.cwd();
  const { configPath } = parsed;
  const file: GivenValues =
    configPath === undefined
      ? {}
      : await import('./config-file.js').then(({ readConfigFile }) =>
          readConfigFile(configPath, command.options, output.note),
        );
  for (const note of parsed.notes) output.note(note);
  const settings = mergeSettings(command.options, file, parsed.flags);
  const given = Object.keys(settings).filter((name) => (parsed.flags[name] ?? file[name]) !== undefined);
  const operands = Object.values(parsed.arguments).filter((value) => value !== undefined);
  const signal = interruptible(output, parsed.isJson);
  try {
    const result = await command.run({
      arguments: parsed.arguments as Readonly<Record<string, string>>,
      settings: settings as Parameters<typeof command.run>[0]['settings'],
      resolvedSettings: resolveSettings(settings),
      given: new Set(given),
      programName,
      commandLine: commandLineOf(programName, operands, command.options, settings),
      configPath,
      signal,
      progress: output.progress,
      note: output.note,
      warn: output.warn,
      isQuiet: parsed.isQuiet,
    });
    await output.result(result, parsed.isJson);
    return signal.aborted ? EXIT.interrupted : (result.exitCode ?? EXIT.done);
  } catch (error) {
    // What is false cannot be left out.
    const removable = new Set(given.filter((name) => settings[name] !== false));
    throw errorFor(interpret(error, signal), { options: command.options, keys: command.keys, given: removable });
  }
}

/** `lowrank convert …` and `lowrank-convert …` are the same; the name in the help is the one that was used. */
async function dispatch(
  commands: CommandRegistry,
  commandName: string | null,
  words: readonly string[],
  output: Output,
): Promise<number> {
  const [first = '', ...rest] = words;
  const isHelp = commandName === null && first === 'help' && rest.length > 0;
  const name = commandName ?? (isHelp ? rest[0] : first);
  const entry = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined || name === undefined) {
    if (commandName !== null) throw new LowrankError('INTERNAL', `there is no command '${commandName}'`);
    await output.show(parseRoot(commands, DESCRIPTION, words));
    return EXIT.done;
  }
  const { command } = await entry.load();
  const programName = commandName === null ? `lowrank ${name}` : `lowrank-${name}`;
  const commandWords = commandName === null ? rest : words;
  const parsed = parseCommandLine(command, programName, isHelp ? ['--help'] : commandWords);
  if (parsed.kind === 'show') {
    await output.show(parsed.text);
    return EXIT.done;
  }
  if (parsed.isQuiet) output.silence();
  return runCommand(command, programName, parsed, output);
}

/** Whether a command line asks for JSON, also one that is wrong in another place. */
function asksForJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end < 0 ? words : words.slice(0, end)).includes('--json');
}

/** What a failure prints. Resolves to its exit code. */
async function fail(error: unknown, words: readonly string[], output: Output): Promise<number> {
  const failure = toLowrankError(error);
  const exitCode = exitCodeOf(failure);
  output.error(failure);
  if (asksForJson(words)) await output.failure(failure, exitCode);
  return exitCode;
}

/** One command line, `words` behind the program's name, in a process that goes on after it. Resolves to its exit code. */
export async function execute(
  commandName: string | null,
  words: readonly string[],
  output: Output,
  commands: CommandRegistry = COMMANDS,
): Promise<number> {
  try {
    return await dispatch(commands, commandName, words, output);
  } catch (error) {
    return fail(error, words, output);
  }
}

/**
 * The whole program: `argv` is `process.argv`, `commandName` the command of a stand-alone launcher, null for `lowrank`. Never
 * returns: the process ends with 0 done, 1 failed, 2 wrong usage, 130 interrupted.
 */
export async function main(
  commandName: string | null,
  argv: readonly string[],
  commands: CommandRegistry = COMMANDS,
): Promise<never> {
  const output = createOutput();
  const words = argv.slice(2);
  const failed = async (error: unknown): Promise<never> => exit(await fail(error, words, output));
  watchStandardStreams();
  process.on('uncaughtException', (error) => void failed(error));
  return exit(await execute(commandName, words, output, commands));
}
