import { statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { LowrankError } from '../errors.js';
import { isArrayPair, openArrays, sampleArrays } from './arrays.js';
import { cifarParts, openCifar } from './cifar.js';
import { unreadable } from '../files/regular.js';
import { openFolder } from './folder.js';
import { usualNames } from './ground-truth.js';
import { chooseIdx, findIdx, type IdxParts, isIdxName, openIdx } from './idx.js';
import { checkPackFinished } from './pack-manifest.js';
import { openParquet } from './parquet.js';
import { firstBelow, folderParts, isNew, listFolder, partOfFile } from './parts.js';
import { expandBraces } from './paths.js';
import { findSplit, isArrayName, isImageName, isSplitName, type SourceOptions } from './source.js';
import { openTars } from './tar-source.js';
import type { ImageSource, SampleArrays } from './types.js';

/**
 * Opens a data set, whatever its format:
 * - a folder of class folders, or one of the parts (`split`) that it holds;
 * - a folder of tars, at any depth, a tar, or shards "train-{000..099}.tar": WebDataset, ILSVRC, class folders (see tar-source.ts);
 * - parquet files, or a folder of them at any depth, as Hugging Face lays them out;
 * - binary CIFAR-10 and CIFAR-100;
 * - idx files, as of MNIST: the folder, or an images file beside its labels;
 * - NumPy arrays: class folders of .npy files, or x.npy and y.npy.
 * Throws INPUT where there is nothing that can be used, and what the formats throw.
 */
export async function openSource(path: string, options: SourceOptions = {}): Promise<ImageSource> {
  const braced = expandBraces(path);
  if (braced !== undefined) return openFiles(path, braced, options);
  if (isFile(path)) return openFiles(path, [path], options);
  checkPackFinished(path);
  const layout = layoutOf(path);
  const { split } = options;
  switch (layout.kind) {
    case 'cifar':
      return openCifar(path, options);
    case 'idx':
      return openIdx(path, chooseIdx(path, layout.parts, split), options);
    case 'tars':
    case 'parquet': {
      const open = layout.kind === 'tars' ? openTars : openParquet;
      const files = choosePart(path, layout.files, split);
      for (const folder of new Set(files.map((file) => dirname(file)))) checkPackFinished(folder);
      const source = await open(path, files, options);
      return { ...source, warnings: [...source.warnings, ...layout.warnings] };
    }
    case 'arrays':
    case 'folders': {
      const { parts } = layout;
      if (parts.length === 0) return (layout.kind === 'arrays' ? openArrays : openFolder)(path, options);
      const part = split === undefined ? undefined : findSplit(split, parts);
      if (part !== undefined) return openSource(join(path, part), { ...options, split: undefined });
      if (split !== undefined) throw missingSplit(path, split, parts);
      throw new LowrankError('INPUT', `the folders ${parts.join(', ')} are parts of a data set, not classes`, {
        place: path,
        remedy: `choose one: ${join(path, parts[0]!)}, or --split ${parts[0]!}`,
      });
    }
  }
}

/** The parts that a folder of a data set has, by the names of its folders or files: what `split` may ask for. */
export function partsIn(path: string): readonly string[] {
  if (expandBraces(path) !== undefined || isFile(path)) return [];
  const layout = layoutOf(path);
  switch (layout.kind) {
    case 'cifar':
    case 'arrays':
    case 'folders':
      return layout.parts;
    case 'idx':
      return [...layout.parts.keys()];
    case 'tars':
    case 'parquet':
      return knownParts(layout.files);
  }
}

/**
 * What the samples of a data set of NumPy arrays are, or of a part that it has, by the first of them; undefined for all other data sets. Throws what `openSource`
 * throws where the folder or the array cannot be read.
 */
export function arraysIn(path: string, split?: string): SampleArrays | undefined {
  if (expandBraces(path) !== undefined || isFile(path)) return undefined;
  const layout = layoutOf(path);
  if (layout.kind !== 'arrays') return undefined;
  const part = split === undefined ? undefined : findSplit(split, layout.parts);
  return sampleArrays(firstBelow(part === undefined ? path : join(path, part), isArrayName)!);
}

/** What the files of a folder are, before any is opened. */
type Layout =
  | { readonly kind: 'idx'; readonly parts: IdxParts }
  | {
      readonly kind: 'tars' | 'parquet';
      readonly files: readonly PartFile[];
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'arrays' | 'cifar' | 'folders'; readonly parts: readonly string[] };

interface PartFile {
  readonly file: string;
  readonly part: string | undefined;
}

/** Shards in the folder itself count, then images in folders, then shards in folders. */
function layoutOf(path: string): Layout {
  const cifar = cifarParts(path);
  if (cifar !== undefined) return { kind: 'cifar', parts: cifar };
  const idx = findIdx(path);
  if (idx !== undefined) return { kind: 'idx', parts: idx };
  const names = listFolder(path).flatMap(({ name, isFolder }) => (isFolder ? [] : [name]));
  const isHere = names.some((name) => isTar(name) || isParquet(name));
  if (!isHere && firstBelow(path, isImageName) !== undefined) return { kind: 'folders', parts: folderParts(path) };
  const files = filesBelow(path, (name) => isTar(name) || isParquet(name) || isCompressedTar(name));
  const here = isHere ? names.map((name) => join(path, name)) : files;
  const tars = here.filter(isTar);
  const compressed = here.filter((file) => isCompressedTar(file) && !usualNames.includes(basename(file)));
  if (tars.length > 0) {
    const left = compressed.length === 0 ? [] : [leftCompressed(compressed.map((file) => relative(path, file)))];
    return { kind: 'tars', ...partFiles(path, tars, 'tars', left) };
  }
  const parquets = files.filter(isParquet);
  if (parquets.length > 0) return { kind: 'parquet', ...partFiles(path, parquets, 'parquet files', []) };
  if (compressed.length > 0)
    throw onlyCompressed(
      path,
      compressed.map((file) => relative(path, file)),
    );
  if (firstBelow(path, isArrayName) !== undefined) {
    return { kind: 'arrays', parts: isArrayPair(path) ? [] : folderParts(path, isArrayName) };
  }
  return { kind: 'folders', parts: folderParts(path) };
}

function partFiles(
  path: string,
  found: readonly string[],
  what: string,
  warnings: readonly string[],
): { readonly files: readonly PartFile[]; readonly warnings: readonly string[] } {
  const inside = found.map((file) => relative(path, file));
  const files = inside.map((file) => ({ file: join(path, file), part: partOfFile(file) }));
  return { files, warnings: [...severalFolders(inside, what), ...warnings] };
}

function isTar(name: string): boolean {
  return /\.tar$/i.test(name);
}

function isCompressedTar(name: string): boolean {
  return /\.(?:tar\.(?:gz|bz2|xz|zst)|tgz|tbz2?|txz)$/i.test(name);
}

function leftCompressed(names: readonly string[]): string {
  return `${names.length} compressed tars are left out: ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`;
}

function onlyCompressed(path: string, names: readonly string[]): LowrankError {
  const fact = `the folder holds ${names.length} compressed tar${names.length === 1 ? '' : 's'}, such as ${names[0]!}, and members of those cannot be found without reading all`;
  const tool = [
    [/gz$/i, 'gunzip'],
    [/bz2?$/i, 'bunzip2'],
    [/xz$/i, 'unxz'],
    [/zst$/i, 'unzstd'],
  ] as const;
  const command = tool.find(([ending]) => ending.test(names[0]!))?.[1] ?? '';
  const ending = /(?:\.tar)?\.[^.]*$/i.exec(names[0]!)?.[0] ?? '';
  return new LowrankError('UNSUPPORTED', fact, {
    place: path,
    remedy: `decompress them first: ${command} ${join(path, dirname(names[0]!), `*${ending}`)}; images do not get smaller by it`,
  });
}

function isParquet(name: string): boolean {
  return /\.parquet$/i.test(name);
}

/** All files below a folder for which `is` holds, by name; no folder is looked into twice. */
function filesBelow(path: string, is: (name: string) => boolean, seen: Set<string> = new Set()): readonly string[] {
  if (!isNew(path, seen)) return [];
  return listFolder(path).flatMap(({ name, isFolder }) => {
    if (isFolder) return filesBelow(join(path, name), is, seen);
    return is(name) ? [join(path, name)] : [];
  });
}

/** Files of several folders that are no parts of one data set may be several data sets: that is said. */
function severalFolders(files: readonly string[], what: string): readonly string[] {
  const folders = [
    ...new Set(
      files.map((file) =>
        file
          .split(/[\\/]/)
          .slice(0, -1)
          .filter((name) => !isSplitName(name))
          .join('/'),
      ),
    ),
  ];
  if (folders.length < 2) return [];
  const shown = folders.slice(0, 3).map((name) => `'${name}'`);
  return [
    `the ${what} of ${folders.length} folders are read as one data set: ${shown.join(', ')}${folders.length > 3 ? ', …' : ''}`,
  ];
}

function openFiles(path: string, files: readonly string[], options: SourceOptions): Promise<ImageSource> {
  if (files.length === 1 && isIdxName(files[0]!)) return openIdx(path, files[0]!, options);
  if (files.every((file) => /\.parquet$/i.test(file))) return openParquet(path, files, options);
  if (files.every((file) => /\.tar$|\.t?gz$|\.zst$/i.test(file))) return openTars(path, files, options);
  throw new LowrankError('INPUT', 'the file is no data set that can be read', {
    place: path,
    remedy: 'give a folder of class folders, a .tar, a .parquet file, or a file such as train-images-idx3-ubyte.gz',
  });
}

function isFile(path: string): boolean {
  try {
    return !statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}

function missingSplit(path: string, split: string, parts: readonly string[]): LowrankError {
  return new LowrankError('INPUT', `there is no part '${split}': there are ${parts.join(', ')}`, {
    place: path,
    remedy: 'choose one of them with --split, or give its files alone',
  });
}

/** All files where they belong to no part or to one; else those of the part that is asked for. */
function choosePart(path: string, files: readonly PartFile[], split: string | undefined): readonly string[] {
  const known = knownParts(files);
  const chosen = split === undefined ? undefined : findSplit(split, known);
  if (chosen !== undefined) return files.filter(({ part }) => part === chosen).map(({ file }) => file);
  if (known.length > 1 || (known.length === 1 && split !== undefined)) {
    if (split !== undefined) throw missingSplit(path, split, known);
    throw new LowrankError('INPUT', `the folder holds the parts ${known.join(', ')} of a data set`, {
      place: path,
      remedy: `choose one with --split ${known[0] ?? ''}, or give its files alone`,
    });
  }
  return files.map(({ file }) => file);
}

function knownParts(files: readonly PartFile[]): readonly string[] {
  return [...new Set(files.map(({ part }) => part))].filter((part) => part !== undefined);
}
