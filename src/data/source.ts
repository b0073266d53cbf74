import { throwIfAborted } from '../errors.js';
import type { ClassList } from './class-list.js';
import { createExtentReader } from './files.js';
import type { TaskContent } from './tasks.js';
import type { Extent, ImageSource, SourceFormat } from './types.js';

/** Settings that all formats take. */
export interface SourceOptions {
  /** Classes in the order of the model's outputs. Default: those that the data set names, sorted. */
  readonly classes?: ClassList | undefined;
  /** Which part of a data set that has several: 'train', 'val', or the data set's own word. */
  readonly split?: string | undefined;
  /** Labels of a tar of unlabelled images, such as ImageNet's validation set: see ground-truth.ts. */
  readonly groundTruth?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then while headers are read, with the number of images so far. */
  readonly onProgress?: ((images: number) => void) | undefined;
}

/** Encoded images as parts of files: what most formats come down to. */
export interface ExtentSet {
  readonly format: SourceFormat;
  readonly path: string;
  readonly classes: ClassList;
  readonly hasGivenClasses: boolean;
  readonly labels: ArrayLike<number>;
  readonly extents: readonly Extent[];
  readonly names: readonly string[];
  readonly warnings: readonly string[];
}

/** A source of encoded images that any thread reads by itself. */
export function extentSource(set: ExtentSet): ImageSource {
  const reader = createExtentReader();
  return {
    format: set.format,
    path: set.path,
    classes: set.classes.ids,
    titles: set.classes.titles,
    hasGivenClasses: set.hasGivenClasses,
    length: set.extents.length,
    blocks: undefined,
    warnings: set.warnings,
    label: (index) => set.labels[index]!,
    name: (index) => set.names[index]!,
    locate: (index) => set.extents[index],
    read: (index) =>
      // A promise also for what is thrown.
      Promise.resolve().then(() => ({
        bytes: reader.read(set.extents[index]!),
        label: set.labels[index]!,
        name: set.names[index]!,
      })),
    close: () => {
      reader.close();
      return Promise.resolve();
    },
  };
}

/** Where a thread reads the image, or the image. */
export async function contentOf(source: ImageSource, index: number): Promise<TaskContent> {
  const extent = source.locate(index);
  return extent === undefined ? source.read(index) : { extent };
}

const imageNames = /\.(?:jpe?g|jpe|jfif|png|webp|gif|tiff?|avif|bmp|p[bgnp]m)$/i;

/** Whether a file name is that of an image. Formats that nobody can read here are images too: bad ones, which are named. */
export function isImageName(name: string): boolean {
  return imageNames.test(name) && !/(?:^|\/)\.[^/]*$/.test(name);
}

const callsBetweenPauses = 2000;

/** Counts calls; every now and then it lets other work run, and stops where the signal has fired. */
export function pacer({ signal, onProgress }: SourceOptions): (images: number) => Promise<void> | undefined {
  let calls = 0;
  return (images) => {
    calls += 1;
    if (calls % callsBetweenPauses !== 0) return undefined;
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          throwIfAborted(signal);
          onProgress?.(images);
          resolve();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  };
}

const splitWords: readonly (readonly string[])[] = [
  ['train', 'training'],
  ['val', 'valid', 'validation', 'dev', 'eval'],
  ['test', 'testing'],
];

/** Whether a folder or file name is a word for a part of a data set: "train", "Validation". */
export function isSplitName(name: string): boolean {
  return splitWords.some((words) => words.includes(name.toLowerCase()));
}

/** Of `available`, the part that `wanted` means: itself, a word for the same, or for 'val' the test part where there is no other. */
export function findSplit(wanted: string, available: readonly string[]): string | undefined {
  const exact = available.find((name) => name === wanted);
  if (exact !== undefined) return exact;
  const same = (words: readonly string[] | undefined): string | undefined =>
    available.find((name) => words?.includes(name.toLowerCase()) === true);
  const [, validation, test] = splitWords;
  const group = splitWords.find((words) => words.includes(wanted.toLowerCase()));
  return same(group) ?? (group === validation ? same(test) : undefined);
}
