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

/** Of a terminal that does not know its width, or says 0. */
const usualColumns = 80;

/** The width of a terminal. */
export function columnsOf({ columns = 0 }: TerminalStream): number {
  return columns < 1 ? usualColumns : columns;
}

/** Colours only on a terminal that is not dumb, and not where NO_COLOR is set and not empty (https://no-color.org). */
export function terminalOf(stream: TerminalStream, environment: NodeJS.ProcessEnv): Terminal {
  if (stream.isTTY !== true) return PLAIN;
  const noColor = environment['NO_COLOR'] ?? '';
  return { columns: columnsOf(stream), hasColors: noColor === '' && environment['TERM'] !== 'dumb' };
}

/** `text` in a colour, where the terminal has colours. */
export function paint(terminal: Terminal, colour: Paint | undefined, text: string): string {
  return terminal.hasColors && colour !== undefined && text !== ''
    ? styleText(colour, text, { validateStream: false })
    : text;
}
