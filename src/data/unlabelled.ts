import { statSync } from 'node:fs';
import { join } from 'node:path';
import { LowrankError } from '../errors.js';
import { plainClasses } from './class-list.js';
import { isArrayPair, withArrays } from './arrays.js';
import { openSource, partsIn } from './open.js';
import { listFolder } from './parts.js';
import { extentSource, findSplit, isArrayName, isImageName, type SourceOptions } from './source.js';
import type { ImageSource } from './types.js';

/**
 * Opens images of which the labels do not matter: a folder that holds them as they are, or whatever `openSource` opens,
 * where it has parts the first of `parts` that there is (default: that for training, else that for validation). Throws INPUT for an empty folder, and what `openSource` throws.
 */
export async function openUnlabelled(
  path: string,
  options: Pick<SourceOptions, 'signal'> & { readonly parts?: readonly string[] } = {},
): Promise<ImageSource> {
  const { signal, parts = ['train', 'val'] } = options;
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return openSource(path, { signal, split: parts[0] });
  }
  const entries = listFolder(path);
  const hasFolders = entries.some(({ isFolder }) => isFolder);
  const files = entries.flatMap(({ name, isFolder }) => (isFolder ? [] : [name]));
  const images = files.filter(isImageName);
  const names = images.length > 0 || isArrayPair(path) ? images : files.filter(isArrayName);
  if (entries.length === 0) {
    const remedy = 'name a folder of images, or a data set';
    throw new LowrankError('INPUT', 'the folder is empty', { place: path, remedy });
  }
  if (hasFolders || names.length === 0) {
    const there = partsIn(path);
    const split = parts.find((part) => findSplit(part, there) !== undefined);
    // One that is asked for and is not there is said.
    return openSource(path, {
      signal,
      needsLabels: false,
      split: split ?? (parts.length === 1 ? parts[0] : undefined),
    });
  }
  const source = extentSource({
    format: images.length > 0 ? 'folder' : 'arrays',
    path,
    classes: plainClasses(['images']),
    hasGivenClasses: false,
    labels: new Int32Array(names.length),
    extents: names.map((name) => ({ path: join(path, name), offset: 0, length: undefined })),
    names,
    warnings: [],
  });
  return images.length > 0 ? source : withArrays(source);
}
