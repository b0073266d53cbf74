import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { byCodePoint } from './class-list.js';
import { unreadable } from '../files/regular.js';
import { isImageName, isLeftOutFolder, isSplitName } from './source.js';

/** A folder of a data set as the rule for parts sees it. */
export interface FolderView {
  readonly name: string;
  /** Whether an image, or another sample, lies in it, at any depth. */
  readonly hasImages: () => boolean;
  /** The folders in it. */
  readonly folders: () => readonly string[];
}

/** Parts of a data set that are no words for one of the three, and no classes. */
const otherParts: ReadonlySet<string> = new Set(['unlabeled', 'unlabelled', 'unsup', 'unsupervised', 'extra']);

/**
 * Which of the folders of a data set are its parts (train, val, test and the usual words), none where folders of such names
 * are classes among others. They are parts where no other folder holds images, or where two of them hold the same class
 * folders (train/cat, val/cat) and no other folder does.
 */
export function partsOf(folders: readonly FolderView[]): readonly string[] {
  const parts = folders.filter(({ name }) => isSplitName(name));
  const others = folders.filter(({ name }) => !isSplitName(name) && !otherParts.has(name.toLowerCase()));
  const names = parts.map(({ name }) => name);
  if (parts.length === 0 || !others.some(({ hasImages }) => hasImages())) return names;
  const inParts = parts.map((part) => part.folders());
  const shared = inParts.flatMap((inside, index) =>
    inside.filter((name) => inParts.some((other, at) => at > index && other.includes(name))),
  );
  const isShared = shared.length > 0 && !others.some((other) => other.folders().some((name) => shared.includes(name)));
  return isShared ? names : [];
}

/** What lies in a folder, sorted by name; hidden files, and folders that are hidden or a tool's, are left out. */
export function listFolder(path: string): readonly { readonly name: string; readonly isFolder: boolean }[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .map((entry) => ({
        name: entry.name,
        isFolder: entry.isDirectory() || (entry.isSymbolicLink() && isFolderLink(join(path, entry.name))),
      }))
      .filter(({ name, isFolder }) => !name.startsWith('.') && !(isFolder && isLeftOutFolder(name)))
      .toSorted((one, other) => byCodePoint(one.name, other.name));
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}

function isFolderLink(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
}

/** Whether a folder was not seen before, under any name; then it is. */
export function isNew(path: string, seen: Set<string>): boolean {
  try {
    const { dev, ino } = statSync(path);
    const identity = `${dev}:${ino}`;
    if (seen.has(identity)) return false;
    seen.add(identity);
    return true;
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}

/** The first file below a folder for which `is` holds, by name, files before folders; no folder is looked into twice. */
export function firstBelow(
  path: string,
  is: (name: string) => boolean,
  seen: Set<string> = new Set(),
): string | undefined {
  if (!isNew(path, seen)) return undefined;
  const entries = listFolder(path);
  const file = entries.find(({ name, isFolder }) => !isFolder && is(name));
  if (file !== undefined) return join(path, file.name);
  for (const { name, isFolder } of entries) {
    const found = isFolder ? firstBelow(join(path, name), is, seen) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The parts of a folder of folders. Throws INPUT where it cannot be read. */
export function folderParts(path: string, isSample: (name: string) => boolean = isImageName): readonly string[] {
  const foldersIn = (folder: string): readonly string[] =>
    listFolder(folder)
      .filter(({ isFolder }) => isFolder)
      .map(({ name }) => name);
  return partsOf(
    foldersIn(path).map((name) => ({
      name,
      hasImages: () => firstBelow(join(path, name), isSample) !== undefined,
      folders: () => foldersIn(join(path, name)),
    })),
  );
}

/** The part of a file of shards: "train-00000-of-00002.parquet", "ILSVRC2012_img_val.tar", "train/0000.parquet". */
export function partOfFile(relativePath: string): string | undefined {
  const components = relativePath.split(/[\\/]/);
  return components
    .pop()!
    .split(/[^A-Za-z]+/)
    .concat(components)
    .find(isSplitName);
}
