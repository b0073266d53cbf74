import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { LowrankError } from '../errors.js';
import { isCifar, openCifar } from './cifar.js';
import { byCodePoint } from './class-list.js';
import { unreadable } from '../files/regular.js';
import { openFolder } from './folder.js';
import { checkPackFinished } from './pack-manifest.js';
import { openParquet } from './parquet.js';
import { expandBraces } from './paths.js';
import { findSplit, isSplitName } from './source.js';
import type { SourceOptions } from './source.js';
import { openTars } from './tar-source.js';
import type { ImageSource } from './types.js';

/**
 * Opens a data set, whatever its format:
 * - a folder of class folders, or one of the parts (`split`) that it holds;
 * - a folder of tars, a tar, or shards "train-{000..099}.tar": WebDataset, ILSVRC, class folders (see tar-source.ts);
 * - parquet files, or a folder of them, as Hugging Face lays them out;
 * - binary CIFAR-10 and CIFAR-100.
 * Throws INPUT where there is nothing that can be used, and what the formats throw.
 */
export async function openSource(path: string, options: SourceOptions = {}): Promise<ImageSource> {
  const braced = expandBraces(path);
  if (braced !== undefined) return openFiles(path, braced, options);
  const kind = kindOf(path);
  if (kind === 'file') return openFiles(path, [path], options);
  checkPackFinished(path);
  if (isCifar(path)) return openCifar(path, options);
  const entries = list(path);
  const names = entries.map(({ name }) => name);
  const tars = names.filter((name) => /\.tar$/i.test(name));
  if (tars.length > 0) return openTars(path, partOfTars(path, tars, options.split), options);
  const parquets = findParquet(path, 3);
  if (parquets.length > 0) return openParquet(path, partOfParquets(path, parquets, options.split), options);
  const { split } = options;
  const folders = entries.filter(({ isFolder }) => isFolder).map(({ name }) => name);
  if (split !== undefined && folders.some(isSplitName)) {
    const part = findSplit(split, folders);
    if (part === undefined) throw missingSplit(path, split, folders.filter(isSplitName));
    return openSource(join(path, part), { ...options, split: undefined });
  }
  return openFolder(path, options);
}

function openFiles(path: string, files: readonly string[], options: SourceOptions): Promise<ImageSource> {
  if (files.every((file) => /\.parquet$/i.test(file))) return openParquet(path, files, options);
  if (files.every((file) => /\.tar$|\.t?gz$|\.zst$/i.test(file))) return openTars(path, files, options);
  throw new LowrankError('INPUT', 'the file is no data set that can be read', {
    place: path,
    remedy: 'give a folder of class folders, a .tar, or a .parquet file',
  });
}

function kindOf(path: string): 'file' | 'folder' {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}

function list(path: string): readonly { readonly name: string; readonly isFolder: boolean }[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter(({ name }) => !name.startsWith('.'))
      .map((entry) => ({
        name: entry.name,
        isFolder: entry.isDirectory() || (entry.isSymbolicLink() && isFolderLink(join(path, entry.name))),
      }))
      .toSorted((one, other) => byCodePoint(one.name, other.name));
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}

function isFolderLink(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function missingSplit(path: string, split: string, parts: readonly string[]): LowrankError {
  return new LowrankError('INPUT', `there is no part '${split}': there are ${parts.join(', ')}`, {
    place: path,
    remedy: 'choose one of them with --split',
  });
}

/** The part that a file name starts with or a folder is named after: "train-00000-of-00002.parquet", "ILSVRC2012_img_val.tar". */
function partOfName(name: string): string | undefined {
  return name.split(/[^A-Za-z]+/).find(isSplitName);
}

function partOfTars(path: string, tars: readonly string[], split: string | undefined): readonly string[] {
  return choosePart(
    path,
    tars.map((tar) => ({ file: join(path, tar), part: partOfName(tar) })),
    split,
  );
}

function partOfParquets(path: string, files: readonly string[], split: string | undefined): readonly string[] {
  const parts = files.map((file) => {
    const inside = relative(path, file);
    const folders = dirname(inside) === '.' ? [] : dirname(inside).split(/[\\/]/);
    return { file, part: partOfName(basename(file)) ?? folders.find(isSplitName) };
  });
  return choosePart(path, parts, split);
}

/** All files where they belong to no part or to one; else those of the part that is asked for. */
function choosePart(
  path: string,
  files: readonly { readonly file: string; readonly part: string | undefined }[],
  split: string | undefined,
): readonly string[] {
  const parts = [...new Set(files.map(({ part }) => part))];
  const known = parts.filter((part) => part !== undefined);
  const chosen = split === undefined ? undefined : findSplit(split, known);
  if (chosen !== undefined) return files.filter(({ part }) => part === chosen).map(({ file }) => file);
  if (known.length > 1 || (known.length === 1 && split !== undefined)) {
    if (split !== undefined) throw missingSplit(path, split, known);
    throw new LowrankError('INPUT', `the folder holds the parts ${known.join(', ')} of a data set`, {
      place: path,
      remedy: `choose one: --split ${known[0] ?? ''}`,
    });
  }
  return files.map(({ file }) => file);
}

function findParquet(path: string, depth: number): readonly string[] {
  return list(path).flatMap(({ name, isFolder }) => {
    if (isFolder) return depth > 0 && isPartFolder(name) ? findParquet(join(path, name), depth - 1) : [];
    return /\.parquet$/i.test(name) ? [join(path, name)] : [];
  });
}

/** Folders that Hugging Face puts parquet files into; class folders are not searched. */
function isPartFolder(name: string): boolean {
  return name === 'data' || name === 'default' || isSplitName(name);
}
