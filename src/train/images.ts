import { existsSync, readdirSync, statSync } from 'node:fs';
import { LowrankError } from '../errors.js';
import { checkTrainable } from '../data/balance.js';
import { type ClassList, readClassList } from '../data/class-list.js';
import { NORMALIZATIONS, type Normalization } from '../data/normalize.js';
import { openSource } from '../data/open.js';
import { findSplit } from '../data/source.js';
import type { ImageSource } from '../data/types.js';
import type { DataSummary } from '../report/train-contract.js';

/** A normalization by name, or by means and deviations. Throws USAGE for others. */
export function normalizationOf(settings: {
  readonly normalization: string;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
}): Normalization {
  const { normalization, mean, std } = settings;
  if (mean !== null || std !== null) {
    const three = (values: readonly number[] | null, name: string): readonly [number, number, number] => {
      if (values?.length === 3) return [values[0]!, values[1]!, values[2]!];
      throw new LowrankError('USAGE', `${name} has ${values?.length ?? 0} numbers where the channels are three`, {
        remedy: 'give --mean and --std as three numbers each, such as 0.485,0.456,0.406',
      });
    };
    return { mean: three(mean, '--mean'), deviation: three(std, '--std') };
  }
  const named = Object.entries(NORMALIZATIONS).find(([name]) => name === normalization);
  if (named !== undefined) return named[1];
  throw new LowrankError('USAGE', `there is no normalization '${normalization}'`, {
    remedy: `choose one of ${Object.keys(NORMALIZATIONS).join(', ')}, or give --mean and --std`,
  });
}

/** The classes of the model's outputs, where the user says them. */
export function classesFrom(path: string | undefined): ClassList | undefined {
  return path === undefined ? undefined : readClassList(path);
}

/** Opens training images. Throws INPUT where a class of the set's own is empty. */
export async function openTraining(path: string, classes: ClassList | undefined): Promise<ImageSource> {
  const source = await openSource(path, { split: 'train', classes });
  try {
    checkTrainable(source);
    return source;
  } catch (error) {
    source.close();
    throw error;
  }
}

/** Opens validation images in the classes of the training images; undefined where none are given and `data` has none. */
export async function openValidation(
  val: string | undefined,
  data: string,
  training: ImageSource,
): Promise<ImageSource | undefined> {
  const classes = { ids: training.classes, titles: training.titles };
  if (val !== undefined) return openSource(val, { split: 'val', classes });
  return hasValidation(data) ? openSource(data, { split: 'val', classes }) : undefined;
}

function hasValidation(path: string): boolean {
  if (!existsSync(path) || !statSync(path).isDirectory()) return false;
  return findSplit('val', readdirSync(path)) !== undefined;
}

/** Throws INPUT where the classes of the images are not those of the model. */
export function requireClasses(source: ImageSource, outputs: number, hasNewHead: boolean): void {
  if (source.classes.length === outputs) return;
  throw new LowrankError('INPUT', `the images have ${source.classes.length} classes and the model ${outputs} outputs`, {
    place: source.path,
    remedy: hasNewHead
      ? 'report this: the new head should fit'
      : `list the model's classes with --classes, or replace its last layer with --new-head`,
  });
}

export function summaryOf(source: ImageSource): DataSummary {
  return { path: source.path, images: source.length, classes: source.classes.length };
}
