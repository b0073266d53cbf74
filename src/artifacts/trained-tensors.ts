import { LowrankError } from '../errors.js';
import { plural } from '../report/format.js';
import type { ArtifactsOrigin } from './artifacts-folder.js';
import { layOut, lengthOf, type Shaped, type Slot } from '../step/flat.js';
import { type SafetensorsFile, typeNameOf } from '../files/safetensors.js';

/** Which tensors there must be, and what is known of the images. */
export type Wanted = Pick<
  ArtifactsOrigin,
  'parameters' | 'statistics' | 'classes' | 'tie' | 'preparation' | 'classNames' | 'found'
>;

/** The tensors of one kind, one behind the other. */
export interface Gathered {
  readonly flat: Float32Array;
  readonly slots: readonly Slot[];
}

/** The tensors of one kind as a flat vector. Throws INPUT, SHAPE, UNSUPPORTED or NUMERIC for those that are not as they should be. */
export function gathered(
  { tensors }: SafetensorsFile,
  wanted: Wanted,
  kind: 'parameters' | 'statistics',
  path: string,
): Gathered {
  const slots = layOut(wanted[kind].map(({ name, shape }) => ({ name, shape })));
  const length = lengthOf(slots);
  if (isFlat(tensors, wanted)) {
    const shape = [length];
    return { flat: numbersOf(tensors, { name: kind, shape }, path, length === 0), slots };
  }
  const missing = slots.filter(({ name }) => !tensors.has(name));
  if (missing.length > 0) {
    throw new LowrankError(
      'INPUT',
      `the file lacks ${plural(missing.length, 'trained tensor')}, first ${shown(missing[0]!)}`,
      {
        place: path,
        remedy: `save all ${kind} under their names in the manifest`,
      },
    );
  }
  const flat = new Float32Array(length);
  for (const slot of slots) flat.set(numbersOf(tensors, slot, path), slot.offset);
  return { flat, slots };
}

/** Whether a file holds the vectors of a training loop as they are, under the names that `initial.safetensors` has. */
function isFlat(tensors: SafetensorsFile['tensors'], { parameters, statistics }: Wanted): boolean {
  const own = new Set([...parameters, ...statistics].map(({ name }) => name));
  return tensors.has('parameters') && !own.has('parameters');
}

function numbersOf(
  tensors: SafetensorsFile['tensors'],
  wanted: Shaped,
  path: string,
  mayBeMissing = false,
): Float32Array {
  const tensor = tensors.get(wanted.name);
  if (tensor === undefined && mayBeMissing) return new Float32Array(0);
  if (tensor === undefined) {
    throw new LowrankError('INPUT', `the vector ${shown(wanted)} is missing`, { place: path, remedy: 'save it too' });
  }
  const { shape, data } = tensor;
  if (shape.length !== wanted.shape.length || shape.some((dim, axis) => dim !== wanted.shape[axis])) {
    throw new LowrankError(
      'SHAPE',
      `tensor '${wanted.name}' is [${shape.join(', ')}], in the model [${wanted.shape.join(', ')}]`,
      {
        place: path,
        remedy: 'save it in the shape that the manifest has',
      },
    );
  }
  if (!(data instanceof Float32Array)) {
    throw new LowrankError(
      'UNSUPPORTED',
      `tensor '${wanted.name}' is of type ${typeNameOf(data)}, in the model float32`,
      {
        place: path,
        remedy: 'save its numbers as float32',
      },
    );
  }
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) {
    throw new LowrankError('NUMERIC', `tensor '${wanted.name}' holds ${data[at]} at element ${at}`, {
      place: path,
      remedy: 'the training diverged: save what it had before',
    });
  }
  return data;
}

export function refuseUnknown({ tensors }: SafetensorsFile, wanted: Wanted, path: string): void {
  const isVector = isFlat(tensors, wanted);
  const known = new Set(
    isVector
      ? ['parameters', 'statistics', 'state']
      : [...wanted.parameters, ...wanted.statistics].map(({ name }) => name),
  );
  const unknown = [...tensors].filter(([name]) => !known.has(name));
  if (unknown.length === 0) return;
  const [name, { shape }] = unknown[0]!;
  const count = plural(unknown.length, 'tensor');
  throw new LowrankError('INPUT', `${count} beside those that are trained, first ${shown({ name, shape })}`, {
    place: path,
    remedy: 'save only the parameters and statistics of the manifest; or name the model that they are of',
  });
}

export function shown({ name, shape }: Shaped): string {
  return `'${name}' [${shape.join(', ')}]`;
}
