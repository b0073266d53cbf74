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
  /** `false`: a data set of arrays may do without its file of labels. Default: true. */
  readonly needsLabels?: boolean;
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
  readonly targets?: readonly Uint8Array[] | undefined;
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
    ...targetsOf(set.targets),
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

/** Of images with several classes each; nothing for others. */
export function targetsOf(targets: readonly Uint8Array[] | undefined): Pick<ImageSource, 'targets'> {
  return targets === undefined ? {} : { targets: (index) => targets[index]! };
}

/** Where a thread reads the image, or the image. */
export async function contentOf(source: ImageSource, index: number): Promise<TaskContent> {
  const extent = source.locate(index);
  return extent === undefined ? source.read(index) : { extent };
}

/** What the image of a sample is called where it has a name: a column of parquet, a field of WebDataset; the first of these. */
export const imageFieldNames: readonly string[] = [
  'image',
  'img',
  'jpg',
  'jpeg',
  'png',
  'webp',
  'picture',
  'photo',
  'rgb',
];

const imageNames = /\.(?:jpe?g|jpe|jfif|png|webp|gif|tiff?|avif|bmp|p[bgnp]m)$/i;

/** Whether a file name is that of an image. Formats that nobody can read here are images too: bad ones, which are named. */
export function isImageName(name: string): boolean {
  return imageNames.test(name) && !/(?:^|\/)\.[^/]*$/.test(name);
}

/** Whether a file name is that of a NumPy array: the sample of a data set that holds no images. */
export function isArrayName(name: string): boolean {
  return /\.npy$/i.test(name) && !/(?:^|\/)\.[^/]*$/.test(name);
}

/** What systems and tools put into folders: thumbnails, forks, what was deleted. */
const toolFolders: ReadonlySet<string> = new Set([
  '__macosx',
  '@eadir',
  '@recycle',
  '@recently-snapshot',
  '#recycle',
  '#snapshot',
  '$recycle.bin',
  'system volume information',
  'lost+found',
  '__pycache__',
]);

/** Whether a folder is hidden or a tool's: at any depth, in any format, what lies in it is no part of the data set. */
export function isLeftOutFolder(name: string): boolean {
  return name.startsWith('.') || toolFolders.has(name.toLowerCase());
}

/** The one note about them; none where there are none. */
export function leftOutWarnings(folders: Iterable<string>): readonly string[] {
  const names = [...folders];
  if (names.length === 0) return [];
  const shown = names.slice(0, 3).map((name) => `'${name}'`);
  return [
    `${names.length} hidden or tool folder${names.length === 1 ? ' is' : 's are'} left out: ${shown.join(', ')}${names.length > 3 ? ', …' : ''}`,
  ];
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

/** Says which classes are called as parts of data sets are. */
export function splitNameWarnings(classes: readonly string[]): readonly string[] {
  const names = classes.filter(isSplitName).map((name) => `'${name}'`);
  if (names.length === 0) return [];
  const what = names.length === 1 ? 'is taken for a class' : 'are taken for classes';
  return [`${names.join(', ')} ${what}, like the folders beside`];
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
