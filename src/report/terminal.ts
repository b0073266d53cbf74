import { styleText } from 'node:util';

/** What a stream can show. */
export interface Terminal {
  /** undefined where the text goes to a file or a pipe: then nothing is shortened. */
  readonly columns: number | undefined;
  readonly hasColors: boolean;
}

/** The part of `process.stdout` that is looked at. */
export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type Paint = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** A file or a pipe: full width, no colours. */
export const PLAIN: Terminal = { columns: undefined, hasColors: false };

/** Colours only on a terminal that is not dumb, and not where NO_COLOR is set and not empty (https://no-color.org). */
export function terminalOf(stream: TerminalStream, environment: NodeJS.ProcessEnv): Terminal {
  if (stream.isTTY !== true) return PLAIN;
  const noColor = environment['NO_COLOR'] ?? '';
  // Width 0 is what a terminal of unknown size reports.
  const columns = stream.columns === undefined || stream.columns < 1 ? undefined : stream.columns;
  return { columns, hasColors: noColor === '' && environment['TERM'] !== 'dumb' };
}

/** `text` in a colour, where the terminal has colours. */
export function paint(terminal: Terminal, colour: Paint | undefined, text: string): string {
  return terminal.hasColors && colour !== undefined && text !== ''
    ? styleText(colour, text, { validateStream: false })
    : text;
}
