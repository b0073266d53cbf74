import { formatPercent, formatSeconds } from './format.js';
import { createLiveLine, type ProgressStream } from './live-line.js';
import { timeLeft } from './progress.js';
import type { StudyCell } from '../contracts/study.js';
import { truncate } from './text.js';
import type { TrainProgress } from './train-progress.js';

/** Where a study is: cell `number` of `total`, from 1. */
export interface StudyPosition {
  readonly number: number;
  readonly total: number;
  readonly name: string;
  /** Of the whole study, at the beginning of this cell; undefined until one is done. */
  readonly secondsLeft: number | undefined;
}

export interface StudyProgress {
  /** The progress of the training of a cell. */
  cell(position: StudyPosition): TrainProgress;
  /** The cell's line, which stays: on a terminal and in a file alike. */
  done(position: StudyPosition, cell: StudyCell): void;
  /** A line that stays. */
  note(line: string): void;
  /** Removes the live line. */
  clear(): void;
}

export interface StudyProgressOptions {
  /** `process.stderr`: the live line on a terminal, the lines of cells anywhere. */
  readonly stream: ProgressStream;
  /** Nothing at all is written where false. */
  readonly enabled: boolean;
  /** Milliseconds that only grow. Default: `performance.now`. */
  readonly now?: () => number;
}

function outcome({ status, top1, reason }: StudyCell): string {
  if (status === 'finished' && top1 !== null) return `top-1 ${formatPercent(top1)}`;
  return reason === null ? status : `${status}: ${reason}`;
}

const leftText = (seconds: number | undefined): string => (seconds === undefined ? '' : timeLeft(Math.max(0, seconds)));

/** "cell 12/120  resnet8, rank scale 0.05, lfai, …  epoch 2/4 step 31/125  14 min 20 s left". */
export function createStudyProgress(options: StudyProgressOptions): StudyProgress {
  const { stream, enabled, now = () => performance.now() } = options;
  const line = createLiveLine({ stream, enabled, now });
  const write = (text: string): void => {
    line.clear();
    if (enabled) stream.write(`${text}\n`);
  };
  const said = new Set<string>();
  const countOf = ({ number, total }: StudyPosition): string =>
    `cell ${String(number).padStart(String(total).length)}/${total}`;
  return {
    cell(position) {
      const started = now();
      const draw = (what: string, isNew: boolean): void => {
        const { secondsLeft } = position;
        const left = leftText(secondsLeft === undefined ? undefined : secondsLeft - (now() - started) / 1000);
        const parts = [countOf(position), position.name, what, left].filter((part) => part !== '');
        line.draw((columns) => truncate(parts.join('  '), columns, 'middle'), isNew);
      };
      draw('drawing the start', true);
      return {
        step: ({ epoch, epochs, step, steps }) => draw(`epoch ${epoch}/${epochs} step ${step}/${steps}`, false),
        validating: (epoch, epochs) => draw(`epoch ${epoch}/${epochs} validating`, false),
        epoch: () => {},
        note: (text) => {
          // Cells of one architecture say the same of their images.
          if (!said.has(text)) write(text);
          said.add(text);
        },
        done: () => line.clear(),
      };
    },
    done(position, cell) {
      const { secondsLeft } = position;
      const parts = [
        countOf(position),
        position.name,
        outcome(cell),
        formatSeconds(cell.seconds),
        leftText(secondsLeft),
      ];
      write(parts.filter((part) => part !== '').join('  '));
    },
    note: write,
    clear: () => line.clear(),
  };
}
