import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { LowrankError } from '../errors.js';

const LIBRARY_NAMES: Readonly<Record<string, RegExp>> = {
  linux: /^libonnxruntime\.so(\.\d+)*$/,
  darwin: /^libonnxruntime(\.\d+)*\.dylib$/,
  win32: /^onnxruntime\.dll$/,
};

/** The folder of the installed onnxruntime-node. */
export function packageRoot(): string {
  return path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
}

/** The folder of its native libraries, whether it exists or not. */
export function packageLibraryFolder(): string {
  return path.join(packageRoot(), 'bin', 'napi-v6', process.platform, process.arch);
}

/**
 * The absolute path of the libonnxruntime to load: `library` (a file, or a folder that holds one), else the one inside
 * onnxruntime-node. Throws INPUT where `library` holds none, DEVICE where onnxruntime-node has none for this platform.
 */
export function findLibrary(library?: string): string {
  if (library === undefined) {
    const folder = packageLibraryFolder();
    const found = existsSync(folder) ? libraryIn(folder) : undefined;
    if (found !== undefined) return found;
    throw new LowrankError('DEVICE', `onnxruntime-node has no library for ${process.platform}-${process.arch}`, {
      place: folder,
      remedy: 'set LOWRANK_ORT_LIB to a folder with libonnxruntime',
    });
  }
  const absolute = path.resolve(library);
  const stat = statSync(absolute, { throwIfNoEntry: false });
  if (stat?.isFile() === true) return absolute;
  const found = stat?.isDirectory() === true ? libraryIn(absolute) : undefined;
  if (found !== undefined) return found;
  throw new LowrankError('INPUT', stat === undefined ? 'no such file or folder' : 'no libonnxruntime in this folder', {
    place: `LOWRANK_ORT_LIB=${library}`,
    remedy: 'name a folder that holds libonnxruntime, or that file itself',
  });
}

/** The newest version where a folder holds several. */
function libraryIn(folder: string): string | undefined {
  const pattern = LIBRARY_NAMES[process.platform];
  if (pattern === undefined) return undefined;
  const names = readdirSync(folder).filter((name) => pattern.test(name));
  const newest = names.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  return newest === undefined ? undefined : path.join(folder, newest);
}
