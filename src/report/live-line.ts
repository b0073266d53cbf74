import { columnsOf } from './terminal.js';

/** The part of `process.stderr` that is used. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface LiveLineOptions {
  readonly stream: ProgressStream;
  /** Nothing is written where false. */
  readonly enabled: boolean;
  /** Milliseconds that only grow. */
  readonly now: () => number;
}

/**
 * One line of a terminal that is drawn again and again. In a file it is written, as a line that stays, where nothing else was
 * for half a minute.
 */
export interface LiveLine {
  /** `line` gets the columns that it may take. At most ten frames a second are drawn, except where `isNew`. */
  draw(line: (columns: number) => string, isNew: boolean): void;
  /** Removes the line. */
  clear(): void;
}

const MILLISECONDS_BETWEEN_FRAMES = 100;
/** In a file. */
const MILLISECONDS_OF_SILENCE = 30_000;
/** Carriage return, then "erase to the end of the line". */
const CLEAR_LINE = '\r\u001B[K';

const SILENT: LiveLine = { draw: () => {}, clear: () => {} };

export function createLiveLine({ stream, enabled, now }: LiveLineOptions): LiveLine {
  if (!enabled) return SILENT;
  if (stream.isTTY !== true) return createSignOfLife(stream, now);
  let lastFrame = -Infinity;
  let isShown = false;
  return {
    draw(line, isNew) {
      const time = now();
      if (!isNew && time - lastFrame < MILLISECONDS_BETWEEN_FRAMES) return;
      lastFrame = time;
      isShown = true;
      // The last column stays free: some terminals wrap as soon as it is written.
      stream.write(CLEAR_LINE + line(columnsOf(stream) - 1));
    },
    clear() {
      if (!isShown) return;
      isShown = false;
      lastFrame = -Infinity;
      stream.write(CLEAR_LINE);
    },
  };
}

function createSignOfLife(stream: ProgressStream, now: () => number): LiveLine {
  let last = now();
  return {
    draw(line) {
      const time = now();
      if (time - last < MILLISECONDS_OF_SILENCE) return;
      last = time;
      stream.write(`${line(Infinity)}\n`);
    },
    // Something else is written.
    clear() {
      last = now();
    },
  };
}
