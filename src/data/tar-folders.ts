import { LowrankError } from '../errors.js';
import { partsOf } from './parts.js';
import { findSplit, isSplitName } from './source.js';
import type { Image } from './webdataset.js';

/** The folders that a member lies in, as it would be unpacked. */
export function foldersOf(path: string): readonly string[] {
  return path
    .split('/')
    .slice(0, -1)
    .filter((name) => name !== '' && name !== '.' && name !== '..');
}

interface InFolders {
  readonly chosen: readonly Image[];
  /** The class of each. */
  readonly names: readonly string[];
}

/**
 * Images by class folder, as in a folder: the first one is the class, below those that all images lie in ("set/cat/1.jpg") and
 * in the part that is asked for where there are parts (train, val).
 */
export function inClassFolders(path: string, images: readonly Image[], split: string | undefined): InFolders {
  const around = foldersAround(images);
  const at = around.length;
  const firsts = distinct(images.map((image) => foldersOf(image.path)[at]!));
  const folderViews = [...new Set(firsts)].map((name) => ({
    name,
    hasImages: () => true,
    folders: () => [
      ...new Set(
        images.flatMap((image, index) => (firsts[index] === name ? foldersOf(image.path).slice(at + 1, at + 2) : [])),
      ),
    ],
  }));
  const partAround = around.filter(isSplitName);
  const parts = partAround.length > 0 ? partAround : partsOf(folderViews);
  if (parts.length === 0) return { chosen: images, names: firsts };
  const part = split === undefined ? partAround[0] : findSplit(split, parts);
  if (part === undefined) {
    throw new LowrankError('INPUT', `the tar holds the parts ${parts.join(', ')} of a data set`, {
      place: path,
      remedy: `choose one with --split ${parts[0] ?? ''}, or give its shards alone`,
    });
  }
  if (partAround.length > 0) return { chosen: images, names: firsts };
  const chosen = images.filter((_, index) => firsts[index] === part);
  const names = distinct(chosen.map((image) => foldersOf(image.path)[at + 1] ?? ''));
  if (names.includes('')) {
    throw new LowrankError('INPUT', `images of the part ${part} lie in no class folders`, {
      place: path,
      remedy: 'put the images of each class into a folder of its own, or add .cls members (WebDataset)',
    });
  }
  return { chosen, names };
}

/** The folders that all images lie in, but for one that is left to be their class. */
function foldersAround(images: readonly Image[]): readonly string[] {
  let around = foldersOf(images[0]!.path);
  for (const { path } of images) {
    const folders = foldersOf(path);
    let same = 0;
    while (same < around.length && same < folders.length - 1 && folders[same] === around[same]) same += 1;
    if (same < around.length) around = around.slice(0, same);
  }
  return around;
}

/** The same texts, each once in memory. */
function distinct(texts: readonly string[]): readonly string[] {
  const known = new Map<string, string>();
  return texts.map((text) => {
    const first = known.get(text);
    if (first === undefined) known.set(text, text);
    return first ?? text;
  });
}
