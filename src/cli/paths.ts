import { imageReads } from '../data/paths.js';
import { checkPaths, type PathUse, reads, writes } from '../files/conflicts.js';
import { checkWritable, writeFileWhole } from '../files/write-file.js';
import { LowrankError } from '../errors.js';
import { toLowrankError } from './output.js';

/** The paths that the options of a command name; those that are not given are none. */
export interface OptionPaths {
  readonly config?: string | undefined;
  readonly ranks?: string | undefined;
  readonly classes?: string | undefined;
  readonly groundTruth?: string | undefined;
  readonly data?: string | undefined;
  readonly val?: string | undefined;
  readonly calibrate?: string | undefined;
  readonly report?: string | undefined;
}

const files = {
  config: ['the configuration file', '--config'],
  ranks: ['the rank file', '--ranks'],
  classes: ['the class list', '--classes'],
  groundTruth: ['the ground truth', '--ground-truth'],
} as const;

const images = {
  data: ['the images', '--data'],
  val: ['the validation images', '--val'],
  calibrate: ['the calibration images', '--calibrate'],
} as const;

/**
 * `checkPaths` over all that a command reads and writes: what its options name, and the rest. Then, with `force` or not,
 * whether the report can be written.
 */
export function checkCommandPaths(options: OptionPaths, others: readonly PathUse[], force = false): void {
  const { report } = options;
  checkPaths([
    ...others,
    ...(report === undefined ? [] : [writes(report, 'the report', '--report')]),
    ...entriesOf(files).flatMap(([key, [name, option]]) => given(options[key], (path) => [reads(path, name, option)])),
    ...entriesOf(images).flatMap(([key, [name, option]]) =>
      given(options[key], (path) => imageReads(path, name, option)),
    ),
  ]);
  if (report !== undefined) checkWritable(report, force);
}

function entriesOf<Table extends object>(table: Table): [keyof Table, Table[keyof Table]][] {
  return Object.entries(table) as [keyof Table, Table[keyof Table]][];
}

function given(path: string | undefined, use: (path: string) => readonly PathUse[]): readonly PathUse[] {
  return path === undefined ? [] : use(path);
}

/** Writes an HTML report. Its error says what was `written` before: that is there, whatever became of the report. */
export async function writeReport(path: string, html: () => Promise<string>, written?: string | null): Promise<void> {
  try {
    writeFileWhole(path, await html());
  } catch (thrown) {
    const error = toLowrankError(thrown);
    if (written === undefined || written === null) throw error;
    throw new LowrankError(error.code, `the report cannot be written: ${error.fact}; ${written} was written`, {
      place: error.place ?? path,
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      cause: thrown,
    });
  }
}
