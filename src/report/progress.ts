import { formatSeconds } from './format.js';
import { createLiveLine, type ProgressStream } from './live-line.js';
import { displayWidth, printable, truncate } from './text.js';

export interface ProgressOptions {
  readonly stream: ProgressStream;
  /** Nothing is written where false. */
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

/** For units that mean nothing to people: in per cent. */
export function inPercent(update: ProgressUpdate): ProgressUpdate {
  const { done, total } = update;
  return { ...update, done: total > 0 ? Math.floor((100 * done) / total) : 0, total: 100 };
}

export interface Progress {
  /** Redraws the line, at most ten times a second. */
  update(update: ProgressUpdate): void;
  /** Removes the line. Call it before anything else is written; a later update draws it again. */
  done(): void;
}

const BAR_WIDTH = 24;
/** Work that takes longer without a step is seen to go on. */
const MILLISECONDS_BETWEEN_TICKS = 1000;
/** What took longer than this, and nobody knows how long it will, says so. */
const SECONDS_WORTH_SAYING = 3;

/** Milliseconds since the start of the phase: at the update, and now. */
interface Elapsed {
  readonly atUpdate: number;
  readonly now: number;
}

/** Seconds until `done` reaches `total` at the mean speed so far; undefined until a hundredth is done. */
function secondsLeft({ done, total }: ProgressUpdate, { atUpdate, now }: Elapsed): number | undefined {
  if (done <= 0 || total <= 0 || done < total / 100 || atUpdate <= 0) return undefined;
  return Math.max(0, (atUpdate * (Math.max(0, total - done) / done) - (now - atUpdate)) / 1000);
}

function timeText(update: ProgressUpdate, elapsed: Elapsed): string {
  const left = secondsLeft(update, elapsed);
  if (left !== undefined) return timeLeft(left);
  const seconds = Math.floor(elapsed.now / 1000);
  return seconds < SECONDS_WORTH_SAYING ? '' : `${seconds < 60 ? `${seconds} s` : formatSeconds(seconds)} so far`;
}

function lineOf(update: ProgressUpdate, elapsed: Elapsed, columns: number): string {
  const { phase, done, total, detail } = update;
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = total > 0 ? `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]` : '';
  const count = total > 0 ? `${done}/${total}` : String(done);
  const time = timeText(update, elapsed);
  const start = [printable(phase), bar, count, time].filter((part) => part !== '').join(' ');
  const room = columns - displayWidth(start) - 2;
  const end = detail === undefined || room < 8 ? '' : `  ${truncate(printable(detail), room, 'middle')}`;
  return truncate(start + end, columns);
}

/** The time left in words, to the second where it is short: "30 s left", "4 min 05 s left". */
export function timeLeft(seconds: number): string {
  return `${seconds < 59 ? `${Math.ceil(seconds)} s` : formatSeconds(seconds)} left`;
}

/**
 * A progress line with the time left, which goes on by itself between updates. On a terminal it never stays behind: `done`
 * removes it. In a file, one is written in half a minute where nothing else is.
 */
export function createProgress({ stream, enabled, now = () => performance.now() }: ProgressOptions): Progress {
  const line = createLiveLine({ stream, enabled, now });
  let phase: string | undefined;
  let phaseStart = 0;
  let ticks: NodeJS.Timeout | undefined;
  const stop = (): void => {
    clearInterval(ticks);
    ticks = undefined;
  };
  return {
    update(update) {
      const time = now();
      const isNew = update.phase !== phase;
      if (isNew) {
        phase = update.phase;
        phaseStart = time;
      }
      const draw = (hasChanged: boolean): void => {
        const elapsed = { atUpdate: time - phaseStart, now: now() - phaseStart };
        line.draw((columns) => lineOf(update, elapsed, columns), hasChanged);
      };
      draw(isNew);
      stop();
      if (enabled) ticks = setInterval(draw, MILLISECONDS_BETWEEN_TICKS, false).unref();
    },
    done() {
      stop();
      line.clear();
    },
  };
}
