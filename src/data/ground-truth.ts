import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LowrankError, messageOf } from '../errors.js';
import { byCodePoint, labelNames, type ClassList } from './class-list.js';
import { readRegular, readRegularText, unreadable } from '../files/regular.js';
import { expand } from './expand.js';
import { findLabels, numberedLabels } from './labels.js';
import { readSynsets } from './mat-file.js';
import { memoryTar } from './tar.js';

/** Labels of images that come without: a file, and for the numbers of ILSVRC2012 the table of its synsets. */
interface Truth {
  readonly text: string;
  readonly place: string;
  /** `meta.mat` of the development kit. */
  readonly meta: (() => Uint8Array) | undefined;
}

const devkitTruth = 'ILSVRC2012_validation_ground_truth.txt';

/** What people have beside ILSVRC2012_img_val.tar, the best first. */
export const usualNames: readonly string[] = [
  'ILSVRC2012_devkit_t12.tar.gz',
  'ILSVRC2012_devkit_t12',
  'LOC_val_solution.csv',
  'imagenet_2012_validation_synset_labels.txt',
  'val.txt',
  devkitTruth,
];

/** The ground truth that lies in the folder of a tar; undefined where there is none. */
export function groundTruthBeside(tar: string): string | undefined {
  return usualNames.map((name) => join(dirname(tar), name)).find((path) => existsSync(path));
}

/**
 * Labels of `names`, file names without folders, in their order. `path` is
 * - the development kit of ILSVRC2012 (.tar.gz as downloaded, its folder, or its ground truth with `meta.mat` beside);
 * - `LOC_val_solution.csv` of Kaggle: "ILSVRC2012_val_00000001,n01978341 85 1 499 272";
 * - lines "name label" (Caffe's val.txt); or one label a line, in the order of the sorted names.
 * A label is a class, or its number from 0. Throws FORMAT where the labels do not fit the images.
 */
export function readGroundTruth(
  path: string,
  names: readonly string[],
  given: ClassList | undefined,
): { readonly classes: ClassList; readonly labels: readonly number[] } {
  const truth = readTruth(path);
  const lines = linesOf(truth, Math.max(fewLines, 4 * names.length));
  const texts = labelsOfLines(lines, names, truth.place);
  const options = { given, place: truth.place, nameOf: (index: number) => `image '${names[index]!}'` };
  const found = findLabels(texts, options);
  if (found.kind === 'names') return labelNames(found.names, given, truth.place);
  const { numbers } = found;
  if (truth.meta !== undefined) {
    const synsets = readSynsets(truth.meta(), truth.place);
    const ids = numbers.map((number) => synsets.get(number));
    const unknown = ids.indexOf(undefined);
    if (unknown >= 0) {
      throw new LowrankError('FORMAT', `the synset table has no number ${numbers[unknown]!}`, { place: truth.place });
    }
    return labelNames(ids as string[], given, truth.place);
  }
  // The numbers of ILSVRC2012 are not in the order of the synsets: taking them for labels would train nonsense.
  const isOneBased = !numbers.includes(0) && numbers.includes(1000);
  if (isOneBased || given === undefined) {
    throw new LowrankError('INPUT', 'the ground truth has numbers, and nothing says which classes they are', {
      place: truth.place,
      remedy: isOneBased
        ? 'put meta.mat of the development kit beside it, or give ILSVRC2012_devkit_t12.tar.gz'
        : 'give the classes in the order of the numbers: --classes',
    });
  }
  return numberedLabels(numbers, options);
}

/** Lines of a ground truth that are read however few the images are. */
const fewLines = 1_000_000;

/** The lines that are not empty, without the space around them. */
function linesOf({ text, place }: Truth, most: number): readonly string[] {
  const lines: string[] = [];
  for (const [line] of text.replace(/^\uFEFF/, '').matchAll(/[^\r\n]+/g)) {
    const trimmed = line.trim();
    if (trimmed === '') continue;
    if (lines.length === most) {
      throw new LowrankError('FORMAT', `the ground truth has more than ${most} lines`, {
        place,
        remedy: 'give that of these images',
      });
    }
    lines.push(trimmed);
  }
  return lines;
}

/** One label per image, in the order of `names`. */
function labelsOfLines(lines: readonly string[], names: readonly string[], place: string): readonly string[] {
  const isTable = lines[0]?.startsWith('ImageId,') === true;
  const pairs = (isTable ? lines.slice(1) : lines).map((line) => line.split(/[\s,]+/));
  if (!isTable && pairs.every(({ length }) => length === 1)) {
    if (lines.length !== names.length) {
      throw new LowrankError('FORMAT', `the ground truth has ${lines.length} labels for ${names.length} images`, {
        place,
      });
    }
    const byName = new Map(names.toSorted(byCodePoint).map((name, index) => [name, lines[index]!]));
    return names.map((name) => byName.get(name)!);
  }
  const withoutEnding = (name: string): string => name.replace(/^.*\//, '').replace(/\.[^.]*$/, '');
  const byName = new Map(pairs.map(([name = '', label = '']) => [withoutEnding(name), label]));
  return names.map((name) => {
    const label = byName.get(withoutEnding(name));
    if (label !== undefined && label !== '') return label;
    throw new LowrankError('FORMAT', `the ground truth has no label for '${name}'`, { place });
  });
}

function readTruth(path: string): Truth {
  try {
    if (statSync(path).isDirectory()) {
      const folder = existsSync(join(path, 'data')) ? join(path, 'data') : path;
      return readTruth(join(folder, devkitTruth));
    }
    if (/\.(?:tar\.gz|tgz)$/i.test(path)) return readDevkit(path);
    const meta = join(dirname(path), 'meta.mat');
    return {
      text: readRegularText(path),
      place: path,
      meta: existsSync(meta) ? () => readRegular(meta) : undefined,
    };
  } catch (error) {
    throw error instanceof LowrankError ? error : unreadable(path, error, 'file or folder');
  }
}

/** Two small files in a compressed tar of 2.5 MB. */
function readDevkit(path: string): Truth {
  let bytes: Uint8Array;
  try {
    bytes = expand(readRegular(path), 'gzip');
  } catch (error) {
    if (error instanceof LowrankError) throw error;
    throw new LowrankError('FORMAT', `the development kit cannot be decompressed: ${messageOf(error)}`, {
      place: path,
      cause: error,
    });
  }
  const members = new Map([...memoryTar(bytes, path)].map(({ name, data }) => [name.replace(/^.*\//, ''), data]));
  const text = members.get(devkitTruth);
  const meta = members.get('meta.mat');
  if (text === undefined || meta === undefined) {
    throw new LowrankError('FORMAT', `the development kit lacks ${text === undefined ? devkitTruth : 'meta.mat'}`, {
      place: path,
    });
  }
  return { text: Buffer.from(text).toString('utf8'), place: path, meta: () => meta };
}
