import { formatSeconds } from './format.js';
import { displayWidth, printable, truncate } from './text.js';

/** The part of `process.stderr` that is used. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly stream: ProgressStream;
  /** Nothing is written where false, nor where the stream is not a terminal. */
  readonly enabled: boolean;
  /** Milliseconds that only grow. Default: `performance.now`. */
  readonly now?: () => number;
}

export interface ProgressUpdate {
  /** What is being done: "factorize". The time left is of this phase. */
  readonly phase: string;
  readonly done: number;
  /** In the unit of `done`; 0 where it is not known. */
  readonly total: number;
  /** What `done` has reached: a layer's name. */
  readonly detail?: string;
}

export interface Progress {
  /** Redraws the line, at most ten times a second. */
  update(update: ProgressUpdate): void;
  /** Removes the line. Call it before anything else is written; a later update draws it again. */
  done(): void;
}

const MILLISECONDS_BETWEEN_FRAMES = 100;
const BAR_WIDTH = 24;
const DEFAULT_COLUMNS = 80;
/** Carriage return, then "erase to the end of the line". */
const CLEAR_LINE = '\r\u001B[K';

const SILENT: Progress = {
  update: () => {},
  done: () => {},
};

/** Seconds until `done` reaches `total` at the mean speed so far; undefined until a hundredth is done. */
function secondsLeft(update: ProgressUpdate, elapsed: number): number | undefined {
  const { done, total } = update;
  if (done <= 0 || total <= 0 || done < total / 100 || elapsed <= 0) return undefined;
  return (elapsed / 1000) * (Math.max(0, total - done) / done);
}

function lineOf(update: ProgressUpdate, elapsed: number, columns: number): string {
  const { phase, done, total, detail } = update;
  const left = secondsLeft(update, elapsed);
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = total > 0 ? `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]` : '';
  const count = total > 0 ? `${done}/${total}` : String(done);
  const time = left === undefined ? '' : `${left < 59 ? `${Math.ceil(left)} s` : formatSeconds(left)} left`;
  const start = [printable(phase), bar, count, time].filter((part) => part !== '').join(' ');
  // The last column stays free: some terminals wrap as soon as it is written.
  const width = columns - 1;
  const room = width - displayWidth(start) - 2;
  const end = detail === undefined || room < 8 ? '' : `  ${truncate(printable(detail), room, 'middle')}`;
  return truncate(start + end, width);
}

/** A progress line with the time left, for a terminal only. It never stays behind: `done` removes it. */
export function createProgress({ stream, enabled, now = () => performance.now() }: ProgressOptions): Progress {
  if (!enabled || stream.isTTY !== true) return SILENT;
  let phase: string | undefined;
  let phaseStart = 0;
  let lastFrame = -Infinity;
  let isShown = false;
  return {
    update(update) {
      const time = now();
      if (update.phase !== phase) {
        phase = update.phase;
        phaseStart = time;
        lastFrame = -Infinity;
      }
      if (time - lastFrame < MILLISECONDS_BETWEEN_FRAMES) return;
      lastFrame = time;
      isShown = true;
      stream.write(`${CLEAR_LINE}${lineOf(update, time - phaseStart, stream.columns ?? DEFAULT_COLUMNS)}`);
    },
    done() {
      if (!isShown) return;
      isShown = false;
      lastFrame = -Infinity;
      stream.write(CLEAR_LINE);
    },
  };
}
