import { type PathUse, reads, writes } from '../files/conflicts.js';
import { readModel } from './read.js';

/** The files of a model that is read: its own, and those of its external data where it can be read at all. */
export function modelReads(path: string, name = 'the model', option?: string): readonly PathUse[] {
  return [
    reads(path, name, option),
    ...externalFilesOf(path).map((file) => reads(file, `the data file of ${name}`, option)),
  ];
}

/** The files of a model that is written: its own, and that of the data that may not fit into it. */
export function modelWrites(path: string, name = 'the output', option = '-o'): readonly PathUse[] {
  return [writes(path, name, option), writes(`${path}.data`, `the data file of ${name}`, option)];
}

/** Paths of the files that hold tensors of a model; none where it cannot be read, which whoever uses it says. */
function externalFilesOf(path: string): readonly string[] {
  try {
    const model = readModel(path);
    model.file?.close();
    return model.file?.external.paths ?? [];
  } catch {
    return [];
  }
}
