import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LowrankError } from '../errors.js';
import { classFacts, plainClasses, readClassList } from './class-list.js';
import { readRegular } from '../files/regular.js';
import type { Pixels } from './pixels.js';
import { findSplit, type SourceOptions } from './source.js';
import type { ImageSource } from './types.js';

/** Binary CIFAR of https://www.cs.toronto.edu/~kriz/cifar.html: label bytes, then 1024 bytes each of red, green, blue. */
interface Layout {
  readonly files: Readonly<Record<'train' | 'test', readonly string[]>>;
  readonly labelBytes: number;
  readonly classes: number;
  readonly names: string;
}

const layouts: readonly Layout[] = [
  {
    files: { train: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`), test: ['test_batch.bin'] },
    labelBytes: 1,
    classes: 10,
    names: 'batches.meta.txt',
  },
  // The second label byte is the fine one.
  { files: { train: ['train.bin'], test: ['test.bin'] }, labelBytes: 2, classes: 100, names: 'fine_label_names.txt' },
];

const side = 32;
const planeBytes = side * side;

/** The layout of a folder with binary CIFAR in it, itself or in its only known subfolder. */
function findLayout(path: string): { readonly folder: string; readonly layout: Layout } | undefined {
  for (const folder of [path, join(path, 'cifar-10-batches-bin'), join(path, 'cifar-100-binary')]) {
    const layout = layouts.find(({ files }) =>
      [...files.train, ...files.test].some((file) => existsSync(join(folder, file))),
    );
    if (layout !== undefined) return { folder, layout };
  }
  return undefined;
}

/** The parts that a folder with binary CIFAR has; undefined where it holds none. */
export function cifarParts(path: string): readonly string[] | undefined {
  const found = findLayout(path);
  if (found === undefined) return undefined;
  const { folder, layout } = found;
  return (['train', 'test'] as const).filter((part) =>
    layout.files[part].some((file) => existsSync(join(folder, file))),
  );
}

/**
 * CIFAR-10 or CIFAR-100 in its binary version; the split is 'train' (default) or 'test'. It is held in memory. Throws INPUT
 * for missing files, FORMAT for a cut file or a label that does not exist.
 */
export function openCifar(path: string, options: SourceOptions): ImageSource {
  const found = findLayout(path);
  if (found === undefined) throw new LowrankError('INPUT', 'the folder holds no binary CIFAR', { place: path });
  const { folder, layout } = found;
  const wanted = options.split ?? 'train';
  const split = findSplit(wanted, ['train', 'test']);
  if (split === undefined) {
    throw new LowrankError('USAGE', `CIFAR has no part '${wanted}'`, { place: path, remedy: 'choose train or test' });
  }
  const names = layout.files[split as 'train' | 'test'];
  const recordBytes = layout.labelBytes + 3 * planeBytes;
  const batches = names.map((name) => readBatch(join(folder, name), recordBytes, layout));
  const perBatch = batches.map((batch) => batch.length / recordBytes);
  const length = perBatch.reduce((sum, count) => sum + count, 0);
  const place = (index: number): { readonly batch: number; readonly record: number } => {
    let record = index;
    let batch = 0;
    while (record >= perBatch[batch]!) record -= perBatch[batch++]!;
    return { batch, record };
  };
  const classes = options.classes ?? ownClasses(folder, layout);
  if (classes.ids.length < layout.classes) {
    throw new LowrankError('INPUT', `the class list has ${classes.ids.length} classes, CIFAR ${layout.classes}`, {
      place: path,
    });
  }
  const label = (index: number): number => {
    const { batch, record } = place(index);
    return batches[batch]![record * recordBytes + layout.labelBytes - 1]!;
  };
  const name = (index: number): string => {
    const { batch, record } = place(index);
    return `${names[batch]!}#${record}`;
  };
  return {
    format: 'cifar',
    path,
    ...classFacts(classes, options.classes),
    length,
    blocks: undefined,
    warnings: [],
    files: names.map((file) => join(folder, file)),
    label,
    name,
    locate: () => undefined,
    read(index) {
      const { batch, record } = place(index);
      const start = record * recordBytes + layout.labelBytes;
      const pixels = interleave(batches[batch]!.subarray(start, start + 3 * planeBytes));
      return Promise.resolve({ pixels, label: label(index), name: name(index) });
    },
    close: () => Promise.resolve(),
  };
}

function ownClasses(folder: string, { classes, names }: Layout): ReturnType<typeof plainClasses> {
  const file = join(folder, names);
  if (existsSync(file)) return readClassList(file);
  return plainClasses(Array.from({ length: classes }, (_, index) => String(index)));
}

function readBatch(path: string, recordBytes: number, layout: Layout): Uint8Array {
  const bytes = readRegular(path);
  const rest = bytes.length % recordBytes;
  if (rest !== 0 || bytes.length === 0) {
    throw new LowrankError('FORMAT', `the file of ${bytes.length} bytes is cut: records have ${recordBytes} bytes`, {
      place: path,
      remedy: 'download it again',
    });
  }
  for (let at = layout.labelBytes - 1; at < bytes.length; at += recordBytes) {
    if (bytes[at]! >= layout.classes) {
      throw new LowrankError(
        'FORMAT',
        `record ${Math.floor(at / recordBytes)} has label ${bytes[at]!} of ${layout.classes}`,
        {
          place: path,
        },
      );
    }
  }
  return bytes;
}

function interleave(planes: Uint8Array): Pixels {
  const data = new Uint8Array(3 * planeBytes);
  for (let pixel = 0; pixel < planeBytes; pixel++) {
    for (let channel = 0; channel < 3; channel++) data[pixel * 3 + channel] = planes[channel * planeBytes + pixel]!;
  }
  return { data, width: side, height: side };
}
