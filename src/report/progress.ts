import { formatSeconds } from './format.js';
import { createLiveLine } from './live-line.js';
import type { ProgressStream } from './live-line.js';
import { displayWidth, printable, truncate } from './text.js';

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

const BAR_WIDTH = 24;

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
  const time = left === undefined ? '' : timeLeft(left);
  const start = [printable(phase), bar, count, time].filter((part) => part !== '').join(' ');
  const room = columns - displayWidth(start) - 2;
  const end = detail === undefined || room < 8 ? '' : `  ${truncate(printable(detail), room, 'middle')}`;
  return truncate(start + end, columns);
}

/** The time left in words, to the second where it is short: "30 s left", "4 min 05 s left". */
export function timeLeft(seconds: number): string {
  return `${seconds < 59 ? `${Math.ceil(seconds)} s` : formatSeconds(seconds)} left`;
}

/** A progress line with the time left, for a terminal only. It never stays behind: `done` removes it. */
export function createProgress({ stream, enabled, now = () => performance.now() }: ProgressOptions): Progress {
  const line = createLiveLine({ stream, enabled, now });
  let phase: string | undefined;
  let phaseStart = 0;
  return {
    update(update) {
      const time = now();
      const isNew = update.phase !== phase;
      if (isNew) {
        phase = update.phase;
        phaseStart = time;
      }
      line.draw((columns) => lineOf(update, time - phaseStart, columns), isNew);
    },
    done() {
      line.clear();
    },
  };
}
