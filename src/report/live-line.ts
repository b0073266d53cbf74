/** The part of `process.stderr` that is used. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface LiveLineOptions {
  readonly stream: ProgressStream;
  /** Nothing is written where false, nor where the stream is not a terminal. */
  readonly enabled: boolean;
  /** Milliseconds that only grow. */
  readonly now: () => number;
}

/** One line of a terminal that is drawn again and again. */
export interface LiveLine {
  /** `line` gets the columns that it may take. At most ten frames a second are drawn, except where `isNew`. */
  draw(line: (columns: number) => string, isNew: boolean): void;
  /** Removes the line. */
  clear(): void;
}

const MILLISECONDS_BETWEEN_FRAMES = 100;
const DEFAULT_COLUMNS = 80;
/** Carriage return, then "erase to the end of the line". */
const CLEAR_LINE = '\r\u001B[K';

const SILENT: LiveLine = { draw: () => {}, clear: () => {} };

export function createLiveLine({ stream, enabled, now }: LiveLineOptions): LiveLine {
  if (!enabled || stream.isTTY !== true) return SILENT;
  let lastFrame = -Infinity;
  let isShown = false;
  return {
    draw(line, isNew) {
      const time = now();
      if (!isNew && time - lastFrame < MILLISECONDS_BETWEEN_FRAMES) return;
      lastFrame = time;
      isShown = true;
      // The last column stays free: some terminals wrap as soon as it is written.
      stream.write(CLEAR_LINE + line((stream.columns ?? DEFAULT_COLUMNS) - 1));
    },
    clear() {
      if (!isShown) return;
      isShown = false;
      lastFrame = -Infinity;
      stream.write(CLEAR_LINE);
    },
  };
}
