import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LowrankError } from '../errors.js';
import { byCodePoint, labelNames } from './class-list.js';
import { unreadable } from '../files/regular.js';
import {
  extentSource,
  isImageName,
  isLeftOutFolder,
  leftOutWarnings,
  pacer,
  splitNameWarnings,
  type SourceOptions,
} from './source.js';
import type { ImageSource } from './types.js';

interface Found {
  /** Relative to the data set, with forward slashes. */
  readonly images: string[];
  ignored: number;
  /** Hidden folders and those of tools. */
  readonly leftOut: string[];
  readonly warnings: string[];
}

/** What lies in class folders. */
export interface FolderSamples extends Pick<ImageSource, 'format'> {
  /** For messages. */
  readonly plural: string;
  readonly isName: (name: string) => boolean;
}

const imageSamples: FolderSamples = { format: 'folder', plural: 'images', isName: isImageName };

/** A device and file number: the same folder under two names has one of them. */
type Identity = string;

/**
 * A folder of class folders (torchvision's ImageFolder): the classes are the folders sorted by name, their images lie in
 * them at any depth, sorted by path. Symbolic links are followed, but never in a circle. Throws INPUT for a folder that
 * cannot be read or has no class folders, and for a class that is not in a given list.
 */
export async function openFolder(
  path: string,
  options: SourceOptions,
  samples: FolderSamples = imageSamples,
): Promise<ImageSource> {
  const { plural } = samples;
  const top = await list(path);
  const folders: string[] = [];
  const warnings: string[] = [];
  const leftOut: string[] = [];
  let loose = 0;
  for (const { name, kind } of top) {
    if (kind === 'folder') (isLeftOutFolder(name) ? leftOut : folders).push(name);
    else if (samples.isName(name)) loose += 1;
  }
  folders.sort(byCodePoint);
  if (folders.length === 0) {
    const fact =
      loose > 0 ? `the folder holds ${loose} ${plural}, but no class folders` : 'the folder holds no class folders';
    throw new LowrankError('INPUT', fact, {
      place: path,
      remedy: `put the ${plural} of each class into a folder of its own`,
    });
  }
  if (loose > 0)
    warnings.push(`${loose} ${plural} lie beside the class folders and belong to no class: they are left out`);

  const pace = pacer(options);
  const names: string[] = [];
  const classOf: string[] = [];
  let ignored = 0;
  const root = await identityOf(path);
  for (const folder of folders) {
    const found: Found = { images: [], ignored: 0, leftOut, warnings };
    await walk(path, folder, [root], found, samples.isName, (count) => pace(names.length + count));
    if (found.images.length === 0) warnings.push(`class folder '${folder}' holds no ${plural}`);
    for (const image of found.images) {
      names.push(image);
      classOf.push(folder);
    }
    ignored += found.ignored;
  }
  warnings.push(...splitNameWarnings(folders), ...leftOutWarnings(leftOut));
  if (ignored > 0) warnings.push(`${ignored} files are no ${plural} by their names: they are left out`);
  if (names.length === 0) {
    throw new LowrankError('INPUT', `the ${folders.length} class folders hold no ${plural}`, { place: path });
  }
  const { classes, labels } = labelsOf(folders, classOf, options, path);
  return extentSource({
    format: samples.format,
    path,
    classes,
    hasGivenClasses: options.classes !== undefined,
    labels,
    extents: names.map((name) => ({ path: join(path, name), offset: 0, length: undefined })),
    names,
    warnings,
  });
}

/** Empty folders are classes too: their index stays free. */
function labelsOf(
  folders: readonly string[],
  classOf: readonly string[],
  options: SourceOptions,
  place: string,
): { readonly classes: ReturnType<typeof labelNames>['classes']; readonly labels: Int32Array } {
  const { classes, labels } = labelNames(folders, options.classes, place);
  const byFolder = new Map(folders.map((folder, index) => [folder, labels[index]!]));
  return { classes, labels: Int32Array.from(classOf, (folder) => byFolder.get(folder)!) };
}

async function walk(
  base: string,
  relative: string,
  ancestors: readonly Identity[],
  found: Found,
  isName: (name: string) => boolean,
  pace: (count: number) => Promise<void> | undefined,
): Promise<void> {
  const path = join(base, relative);
  const identity = await identityOf(path);
  if (ancestors.includes(identity)) {
    found.warnings.push(`'${relative}' is a symbolic link to a folder that it lies in: it is not followed`);
    return;
  }
  const entries = await list(path);
  entries.sort((one, other) => byCodePoint(one.name, other.name));
  for (const { name, kind } of entries) {
    const child = `${relative}/${name}`;
    if (kind === 'folder' && isLeftOutFolder(name)) found.leftOut.push(child);
    else if (kind === 'folder') await walk(base, child, [...ancestors, identity], found, isName, pace);
    else if (isName(name)) found.images.push(child);
    else found.ignored += 1;
    await pace(found.images.length);
  }
}

interface Listed {
  readonly name: string;
  readonly kind: 'folder' | 'file';
}

/** What a folder holds, symbolic links followed; a link to nowhere counts as a file. */
async function list(path: string): Promise<Listed[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return await Promise.all(
      entries.map(async (entry): Promise<Listed> => {
        const isFolder = entry.isSymbolicLink()
          ? await stat(join(path, entry.name)).then(
              (stats) => stats.isDirectory(),
              () => false,
            )
          : entry.isDirectory();
        return { name: entry.name, kind: isFolder ? 'folder' : 'file' };
      }),
    );
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}

async function identityOf(path: string): Promise<Identity> {
  try {
    const { dev, ino } = await stat(path);
    return `${dev}:${ino}`;
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}
