import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { LowrankError } from '../errors.js';
import { type PathUse, reads } from '../files/conflicts.js';
import { isSplitName } from './source.js';

/**
 * The files and folders of a data set, as `openSource` takes its path: shards by their names, a folder with all that is in
 * it, and what links at its top lead to. Throws USAGE for a range of shards that is none.
 */
export function imageReads(path: string, name: string, option?: string): readonly PathUse[] {
  const files = expandBraces(path) ?? [path];
  return [...files, ...files.flatMap((file) => linksIn(file, true))].map((file) => reads(file, name, option, 'folder'));
}

function linksIn(folder: string, hasParts: boolean): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isSymbolicLink()) return [path];
      return hasParts && entry.isDirectory() && isSplitName(entry.name) ? linksIn(path, false) : [];
    });
  } catch {
    // A file, or nothing: whoever opens it says so.
    return [];
  }
}

/** "a-{000..002}.tar" → a-000.tar, a-001.tar, a-002.tar: WebDataset's way to name shards. undefined without braces. */
export function expandBraces(path: string): readonly string[] | undefined {
  const match = /^(.*)\{(\d+)\.\.(\d+)\}(.*)$/s.exec(path);
  if (match === null) return undefined;
  const [, before = '', from = '', to = '', after = ''] = match;
  const count = Number(to) - Number(from) + 1;
  if (count < 1 || count > 1_000_000) {
    throw new LowrankError('USAGE', `{${from}..${to}} names ${Math.max(0, count)} files`, { place: path });
  }
  return Array.from({ length: count }, (_, index) => {
    const number = String(Number(from) + index).padStart(from.length, '0');
    return `${before}${number}${after}`;
  });
}
