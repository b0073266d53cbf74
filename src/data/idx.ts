import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LowrankError } from '../errors.js';
import { readIdx } from './idx-file.js';
import { numberedLabels } from './labels.js';
import { type Pixels, toRgb } from './pixels.js';
import { classFacts } from './class-list.js';
import { findSplit, type SourceOptions } from './source.js';
import type { ImageSource } from './types.js';

/** Images files of a folder by the part that they are: 'train', 'test' (t10k), and the usual words. */
export type IdxParts = ReadonlyMap<string, string>;

const partNames = /^(.*?)(train|t10k|test|val|validation)-images[-.]idx3-ubyte(\.gz)?$/i;
const idxNames = /(?:^|[-.])idx\d-[a-z]+(?:\.gz)?$/i;
/** Where torchvision puts them. */
const subfolders = ['', 'raw', ...['MNIST', 'FashionMNIST', 'KMNIST', 'EMNIST'].map((name) => join(name, 'raw'))];

/** Whether a file has the name of an idx file: "train-images-idx3-ubyte.gz", "t10k-labels.idx1-ubyte". */
export function isIdxName(path: string): boolean {
  return idxNames.test(basename(path));
}

/**
 * The images files of MNIST, or of a data set of the same format and names, in a folder or where torchvision puts them below it;
 * undefined where there are none. Throws INPUT for those of several data sets.
 */
export function findIdx(path: string): IdxParts | undefined {
  for (const subfolder of subfolders) {
    const folder = join(path, subfolder);
    const found = namesIn(folder).flatMap((name) => {
      const match = partNames.exec(name);
      return match === null ? [] : [{ name, set: match[1]!, part: partOf(match[2]!), isPlain: match[3] === undefined }];
    });
    const sets = [...new Set(found.map(({ set }) => set))];
    if (sets.length > 1) {
      const fact = `the folder holds the idx files of ${sets.length} data sets: ${sets.map((set) => `'${set}'`).join(', ')}`;
      throw new LowrankError('INPUT', fact, {
        place: folder,
        remedy: `give one images file: ${join(folder, found[0]!.name)}`,
      });
    }
    // Of a file and the same compressed, the one that is read at once.
    const files = found.toSorted((one, other) => Number(one.isPlain) - Number(other.isPlain));
    if (files.length > 0) return new Map(files.map(({ part, name }) => [part, join(folder, name)]));
  }
  return undefined;
}

function partOf(word: string): string {
  return word.toLowerCase() === 't10k' ? 'test' : word.toLowerCase();
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    // No folder, or one that whoever opens it says.
    return [];
  }
}

/** The images file of the part `split` (default: that for training, or the only one). Throws USAGE where there is none. */
export function chooseIdx(path: string, parts: IdxParts, split: string | undefined): string {
  const names = [...parts.keys()];
  const wanted = split === undefined ? undefined : partOf(split);
  const part = findSplit(wanted ?? 'train', names) ?? (wanted === undefined ? names[0]! : undefined);
  if (part !== undefined) return parts.get(part)!;
  throw new LowrankError('USAGE', `the idx files have no part '${split!}'`, {
    place: path,
    remedy: `choose ${names.toSorted().join(' or ')}, or give an images file alone`,
  });
}

/**
 * Grey images of an idx file and the labels beside it ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"), held in memory
 * as they lie in the file. Classes are the numbers from 0 to the largest, or the given ones. Throws what `readIdx` throws, INPUT
 * where the labels are missing or not in the class list, FORMAT where there are more or fewer of them than images.
 */
export async function openIdx(path: string, file: string, options: SourceOptions): Promise<ImageSource> {
  const labelsFile = labelsBeside(file);
  const images = await readIdx(file, 3);
  const found = await readIdx(labelsFile, 1);
  const [length, height, width] = images.dims as [number, number, number];
  if (found.data.length !== length) {
    throw new LowrankError('FORMAT', `there are ${found.data.length} labels for ${length} images`, {
      place: `${labelsFile}, ${basename(file)}`,
      remedy: 'give files that belong together',
    });
  }
  const stem = basename(file).replace(/\.gz$/i, '');
  const name = (index: number): string => `${stem}#${index}`;
  const { classes, labels } = numberedLabels([...found.data], {
    given: options.classes,
    place: labelsFile,
    nameOf: (index) => `image ${index}`,
  });
  const bytes = width * height;
  return {
    format: 'idx',
    path,
    ...classFacts(classes, options.classes),
    length,
    blocks: undefined,
    warnings: [],
    files: [file, labelsFile],
    label: (index) => labels[index]!,
    name,
    locate: () => undefined,
    read(index) {
      const grey = images.data.subarray(index * bytes, (index + 1) * bytes);
      const pixels: Pixels = { data: toRgb(grey, 1), width, height };
      return Promise.resolve({ pixels, isGrey: true, label: labels[index]!, name: name(index) });
    },
    close: () => Promise.resolve(),
  };
}

/** The labels file of an images file, compressed or not. Throws INPUT where there is none. */
function labelsBeside(file: string): string {
  const [folder, name] = [dirname(file), basename(file)];
  const plain = name
    .replace(/\.gz$/i, '')
    .replace(/idx\d/i, 'idx1')
    .replace(/images/i, 'labels');
  if (/labels/i.test(name)) {
    throw new LowrankError('INPUT', 'the file holds labels, and its images are wanted', {
      place: file,
      remedy: 'give the images file, or the folder of both',
    });
  }
  const others = [plain.replace(/[-.](idx1)/i, '-$1'), plain.replace(/[-.](idx1)/i, '.$1')];
  const there = new Set(namesIn(folder));
  const found = [plain, ...others].flatMap((known) => [known, `${known}.gz`]).find((known) => there.has(known));
  if (found !== undefined) return join(folder, found);
  throw new LowrankError('INPUT', `the labels of ${name} are missing: there is no ${plain} or ${plain}.gz beside it`, {
    place: folder,
    remedy: 'put both files into one folder',
  });
}
