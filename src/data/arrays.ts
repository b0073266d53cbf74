import { basename, dirname, join } from 'node:path';
import { LowrankError } from '../errors.js';
import { classFacts, plainClasses } from './class-list.js';
import { createExtentReader } from './files.js';
import { openFolder } from './folder.js';
import { classLabels, type Labels } from './labels.js';
import { bytesOf, checkLength, npyFile, readNpy, readNpyHeader } from '../files/npy.js';
import { listFolder } from './parts.js';
import { isArrayName, type SourceOptions, targetsOf } from './source.js';
import type { ImageSource, SampleArrays } from './types.js';

/** The arrays of a folder that holds all samples in one, by their names in small letters. */
const pairNames = { samples: 'x.npy', labels: 'y.npy' } as const;

function pairIn(path: string): ReadonlyMap<string, string> {
  const names = listFolder(path).flatMap(({ name, isFolder }) => (!isFolder && isArrayName(name) ? [name] : []));
  return new Map(names.map((name) => [name.toLowerCase(), name]));
}

/** Whether a folder holds its samples in one array: x.npy, alone or beside y.npy, and no other. */
export function isArrayPair(path: string): boolean {
  const files = pairIn(path);
  return files.has(pairNames.samples) && files.size === (files.has(pairNames.labels) ? 2 : 1);
}

/**
 * NumPy arrays: class folders of .npy files, one sample each, as `openFolder` opens images; or all samples in x.npy [n, …] and
 * their labels in y.npy, whole numbers [n], or zeros and ones [n, classes] for samples of several classes. Throws INPUT for
 * what cannot be read, labels that are missing or not in the class list, FORMAT and UNSUPPORTED for other arrays (`npyHeader`).
 */
export async function openArrays(path: string, options: SourceOptions): Promise<ImageSource> {
  if (isArrayPair(path)) return openPair(path, options);
  return withArrays(await openFolder(path, options, { format: 'arrays', plural: 'arrays', isName: isArrayName }));
}

/** Says what the arrays are, of a source of .npy files of one sample each. Throws what reading the first one throws. */
export function withArrays(source: ImageSource): ImageSource {
  return { ...source, arrays: sampleArrays(source.locate(0)!.path) };
}

/** What the samples are, by the header of the first file of a data set. Throws what `readNpyHeader` throws, FORMAT where it holds no numbers. */
export function sampleArrays(file: string): SampleArrays {
  const header = readNpyHeader(file);
  const { type, dims } = header;
  checkLength(header, header.fileBytes, file);
  const isPair = basename(file).toLowerCase() === pairNames.samples && isArrayPair(dirname(file));
  const own = isPair ? dims.slice(1) : dims;
  if (own.length > 0 && !dims.includes(0)) return { type, dims: own };
  throw new LowrankError('FORMAT', `the array is [${dims.join(', ')}], and holds no ${isPair ? 'samples' : 'sample'}`, {
    place: file,
    remedy: isPair ? 'write it as [samples, …]' : 'write one sample, of the shape that the model takes',
  });
}

function openPair(path: string, options: SourceOptions): ImageSource {
  const files = pairIn(path);
  const file = join(path, files.get(pairNames.samples)!);
  const arrays = sampleArrays(file);
  const { isBigEndian, start, dims } = readNpyHeader(file);
  const length = dims[0]!;
  const { classes, labels, targets, read } = labelsOf(path, files.get(pairNames.labels), length, options);
  const bytes = arrays.dims.reduce((product, dim) => product * dim, bytesOf(arrays.type));
  const reader = createExtentReader();
  const name = (index: number): string => `${basename(file)}#${index}`;
  return {
    format: 'arrays',
    path,
    ...classFacts(classes, options.classes),
    length,
    blocks: undefined,
    warnings: [],
    arrays,
    files: [file, ...read],
    label: (index) => labels[index]!,
    ...targetsOf(targets),
    name,
    locate: () => undefined,
    read: (index) =>
      Promise.resolve().then(() => ({
        bytes: npyFile(
          { ...arrays, isBigEndian },
          reader.read({ path: file, offset: start + index * bytes, length: bytes }),
        ),
        label: labels[index]!,
        name: name(index),
      })),
    close: () => {
      reader.close();
      return Promise.resolve();
    },
  };
}

function labelsOf(
  path: string,
  name: string | undefined,
  length: number,
  { classes: given, needsLabels = true }: SourceOptions,
): Labels & { readonly read: readonly string[] } {
  if (name === undefined && !needsLabels) {
    return { classes: plainClasses(['arrays']), labels: Array.from({ length }, () => 0), read: [] };
  }
  if (name === undefined) {
    throw new LowrankError(
      'INPUT',
      `there is no ${pairNames.labels} beside ${pairNames.samples}, and labels are needed`,
      {
        place: path,
        remedy: `write the class of each sample, whole numbers from 0, into ${pairNames.labels}`,
      },
    );
  }
  const file = join(path, name);
  const { dims, numbers } = readNpy(file);
  const [count, ...rest] = dims;
  if (count !== length || rest.length > 1) {
    throw new LowrankError('FORMAT', `the labels are [${dims.join(', ')}] for ${length} samples`, {
      place: file,
      remedy: `write one whole number for each sample, [${length}]`,
    });
  }
  const columns = rest[0];
  const values =
    columns === undefined
      ? numbers
      : Array.from({ length }, (_, row) => numbers.slice(row * columns, (row + 1) * columns));
  const nameOf = (index: number): string => `sample ${index}`;
  return { ...classLabels(values, { given, place: file, nameOf }), read: [file] };
}
