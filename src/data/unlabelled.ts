import { statSync } from 'node:fs';
import { join } from 'node:path';
import { LowrankError } from '../errors.js';
import { plainClasses } from './class-list.js';
import { openSource, partsIn } from './open.js';
import { listFolder } from './parts.js';
import { extentSource, findSplit, isImageName, type SourceOptions } from './source.js';
import type { ImageSource } from './types.js';

/**
 * Opens images of which the labels do not matter: a folder that holds them as they are, or whatever `openSource` opens,
 * where it has parts that for training, else that for validation. Throws INPUT for an empty folder, and what `openSource` throws.
 */
export async function openUnlabelled(path: string, options: Pick<SourceOptions, 'signal'> = {}): Promise<ImageSource> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return openSource(path, { ...options, split: 'train' });
  }
  const entries = listFolder(path);
  const hasFolders = entries.some(({ isFolder }) => isFolder);
  const names = entries.flatMap(({ name, isFolder }) => (!isFolder && isImageName(name) ? [name] : []));
  if (entries.length === 0) {
    const remedy = 'name a folder of images, or a data set';
    throw new LowrankError('INPUT', 'the folder is empty', { place: path, remedy });
  }
  if (hasFolders || names.length === 0) {
    const parts = partsIn(path);
    const split = ['train', 'val'].find((part) => findSplit(part, parts) !== undefined);
    return openSource(path, { ...options, split });
  }
  return extentSource({
    format: 'folder',
    path,
    classes: plainClasses(['images']),
    hasGivenClasses: false,
    labels: new Int32Array(names.length),
    extents: names.map((name) => ({ path: join(path, name), offset: 0, length: undefined })),
    names,
    warnings: [],
  });
}
