import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { architectures, create } from '../../models/index.js';
import type { ImageSource } from '../data/types.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import { removeStale } from '../files/temporary.js';
import type { Model } from '../graph/model.js';
import { writeModel } from '../graph/write.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import type { StudyArchitecture } from './study.js';

/** An architecture as a file whose weights are re-drawn. */
export interface ArchitectureFile {
  readonly path: string;
  /** Of what a re-drawn start depends on. */
  readonly hash: string;
}

/**
 * The file of an architecture: the user's own, or one that is created in `folder` for images of `classes` classes. Throws
 * INPUT or USAGE.
 */
export function architectureFile(architecture: StudyArchitecture, classes: number, folder: string): ArchitectureFile {
  const { source, name } = architecture;
  if (source.kind === 'file') {
    if (!existsSync(source.path)) {
      throw new LowrankError('INPUT', `there is no model ${source.path}`, {
        place: `architecture '${name}' of the study`,
        remedy: 'give the path of an .onnx file, or a name of `lowrank create --list`',
      });
    }
    return { path: source.path, hash: drain(fileSha256(source.path)) };
  }
  const published = architectures.find((known) => known.name === source.architecture)!;
  const imageSize = source.imageSize ?? published.imageSize;
  const model = create(source.architecture, { numClasses: classes, imageSize, hidden: source.hidden });
  const path = join(folder, `${source.architecture}-${imageSize}px-${classes}.onnx`);
  // Weights are re-drawn: an old file that differs in nothing else will do.
  const hash = structureHash(model);
  const named = path.replace(/\.onnx$/, `-${hash.slice(0, 8)}.onnx`);
  if (existsSync(named)) removeStale(named);
  else writeModel(model, named);
  return { path: named, hash };
}

/** Of metadata, inputs, nodes, and the names and shapes of the weights: all of a created model but the numbers in it. */
function structureHash({ graph, metadata }: Model): string {
  const hash = createHash('sha256');
  hash.update(`${JSON.stringify([...metadata])}\n`);
  for (const { name, declared } of graph.inputs) hash.update(`${JSON.stringify([name, declared?.dims])}\n`);
  for (const { opType, inputs, outputs, attributes } of graph.nodes) {
    const names = [inputs, outputs].map((values) => values.map((value) => value?.name ?? ''));
    hash.update(`${JSON.stringify([opType, names, [...attributes]])}\n`);
  }
  for (const { name, tensor } of graph.initializers) hash.update(`${JSON.stringify([name, tensor!.dims])}\n`);
  return hash.digest('hex');
}

/** Of larger data sets every n-th image is read, so that about this many are. */
const mostRead = 10_000;

/**
 * A hash of a data set: the names and labels of all images, and the content of the images, of every n-th where there are
 * more than 10,000.
 */
export async function imagesHash(source: ImageSource, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  const stride = Math.ceil(source.length / mostRead);
  for (let i = 0; i < source.length; i++) hash.update(`${source.label(i)} ${source.name(i)}\n`);
  for (let i = 0; i < source.length; i += stride) {
    throwIfAborted(signal);
    const sample = await source.read(i);
    hash.update('bytes' in sample ? sample.bytes : sample.pixels.data);
  }
  return hash.digest('hex');
}
