import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LowrankError } from '../errors.js';
import { byCodePoint, plainClasses } from './class-list.js';
import { openSource } from './open.js';
import { extentSource, findSplit, isImageName } from './source.js';
import type { SourceOptions } from './source.js';
import type { ImageSource } from './types.js';

/**
 * Opens images of which the labels do not matter: a folder that holds them as they are, or whatever `openSource` opens,
 * where it has parts that for training, else that for validation. Throws INPUT for an empty folder, and what `openSource` throws.
 */
export function openUnlabelled(path: string, options: Pick<SourceOptions, 'signal'> = {}): Promise<ImageSource> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return openSource(path, options);
  const entries = readdirSync(path, { withFileTypes: true });
  const folders = entries.filter((entry) => !entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name);
  const names = entries.map(({ name }) => name).filter(isImageName);
  if (entries.every(({ name }) => name.startsWith('.'))) {
    const remedy = 'name a folder of images, or a data set';
    return Promise.reject(new LowrankError('INPUT', 'the folder is empty', { place: path, remedy }));
  }
  if (folders.length > 0 || names.length === 0) {
    const split = ['train', 'val'].find((part) => findSplit(part, folders) !== undefined);
    return openSource(path, { ...options, split });
  }
  names.sort(byCodePoint);
  return Promise.resolve(
    extentSource({
      format: 'folder',
      path,
      classes: plainClasses(['images']),
      hasGivenClasses: false,
      labels: new Int32Array(names.length),
      extents: names.map((name) => ({ path: join(path, name), offset: 0, length: undefined })),
      names,
      warnings: [],
    }),
  );
}
