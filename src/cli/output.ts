import { environmentError, LowrankError, messageOf } from '../errors.js';
import type { ErrorReport } from '../contracts/error.js';
import { createProgress, type Progress } from '../report/progress.js';
import { paint, terminalOf } from '../report/terminal.js';
import { printable } from '../report/text.js';
import { tool } from '../version.js';
import type { CommandResult } from './command.js';

/** Results on stdout, everything else on stderr. */
export interface Output {
  readonly progress: Progress;
  readonly note: (line: string) => void;
  readonly warn: (line: string) => void;
  /** One line `error[CODE]: fact; place; remedy`; the stack follows only where LOWRANK_DEBUG is 1. */
  error(error: unknown): void;
  /** The document of a failure, unless another was printed before it. Resolves when it is written. */
  failure(error: LowrankError, exitCode: number): Promise<void>;
  /** Exactly one JSON document, or the text for people. Resolves when it is written. */
  result(result: CommandResult, isJson: boolean): Promise<void>;
  /** Text that was asked for, such as the help. */
  show(text: string): Promise<void>;
  /** From now on no progress, notes and warnings. */
  silence(): void;
}

/** Nobody reads any more: a pipe was closed, or a terminal. */
function hasNoReader(stream: NodeJS.WriteStream, error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'EPIPE' || (code === 'EIO' && stream.isTTY);
}

/**
 * A reader that has seen enough (`| head`) is no failure. Any other error of a standard stream is thrown as OUTPUT, and
 * reaches the handler of uncaught exceptions.
 */
export function watchStandardStreams(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (hasNoReader(stream, error)) return;
      throw new LowrankError('OUTPUT', `the output cannot be written: ${messageOf(error)}`, { cause: error });
    });
  }
}

/** Resolves when `text` has left this process, or nobody reads it any more. */
function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(text, () => {
      resolve();
    });
  });
}

/** Exceptions that are neither a `LowrankError` nor the machine's are defects of this program, and say so. */
export function toLowrankError(error: unknown): LowrankError {
  const known = error instanceof LowrankError ? error : environmentError(error);
  if (known !== undefined) return known;
  const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
  return new LowrankError('INTERNAL', `${name}${messageOf(error)}`, {
    remedy: 'this is a defect; report it with what LOWRANK_DEBUG=1 prints',
    cause: error,
  });
}

/** The JSON text of a document. Throws NUMERIC where it holds NaN or infinity, which JSON would turn into null. */
export function jsonText(document: unknown): string {
  return `${JSON.stringify(
    document,
    (key, value: unknown) => {
      if (typeof value === 'number' && !Number.isFinite(value)) {
        throw new LowrankError('NUMERIC', `the report holds ${value}`, { place: `field '${key}'` });
      }
      return value;
    },
    2,
  )}\n`;
}

function errorReport({ code, message, fact, place, remedy }: LowrankError, exitCode: number): ErrorReport {
  const error = { code, message, fact, place: place ?? null, remedy: remedy ?? null };
  return { schema: 'lowrank.error/1', tool, error, exitCode };
}

/** The standard streams of this process. There is one: whatever it writes first removes the progress line. */
export function createOutput(): Output {
  const { stdout, stderr, env } = process;
  const bar = createProgress({ stream: stderr, enabled: true });
  const errorTerminal = terminalOf(stderr, env);
  let isQuiet = false;
  let hasShown = false;
  const line = (text: string): void => {
    bar.done();
    stderr.write(`${text}\n`);
  };
  const show = (text: string): Promise<void> => {
    hasShown = true;
    bar.done();
    return write(stdout, text);
  };
  return {
    progress: {
      update(update) {
        if (!isQuiet) bar.update(update);
      },
      done: () => {
        bar.done();
      },
    },
    note(text) {
      if (!isQuiet) line(printable(text));
    },
    warn(text) {
      if (!isQuiet) line(`${paint(errorTerminal, 'yellow', 'warning:')} ${printable(text)}`);
    },
    error(thrown) {
      const error = toLowrankError(thrown);
      line(`${paint(errorTerminal, 'red', `error[${error.code}]:`)} ${printable(error.message)}`);
      if (env['LOWRANK_DEBUG'] !== '1') return;
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) line(cause.stack ?? cause.message);
    },
    failure: async (error, exitCode) => {
      if (!hasShown) await show(jsonText(errorReport(error, exitCode)));
    },
    result: (result, isJson) => show(isJson ? jsonText(result.document) : result.text(terminalOf(stdout, env))),
    show,
    silence() {
      isQuiet = true;
    },
  };
}
