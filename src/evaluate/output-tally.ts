import type { OutputAgreement } from '../contracts/agreement.js';
import type { ImageInput } from '../images/image-input.js';
import { toNumbers } from '../rewrite/samples.js';
import type { RuntimeTensor } from '../runtime/types.js';
import { wilsonInterval } from '../statistics.js';
import { largestOf, tallyMaps } from './map-tally.js';
import { floatTypes } from './output-types.js';
import { meanOverPictures } from './picture-mean.js';

/** Compares one output of two models, picture by picture. */
export interface OutputTally {
  add(original: RuntimeTensor | undefined, other: RuntimeTensor | undefined): void;
  /** Why it cannot be compared; undefined where it can. */
  readonly reason: string | undefined;
  /** What a reader should know of it. */
  readonly warnings: readonly string[];
  result(): OutputAgreement;
}

export interface OutputTallyOptions {
  /** In the original. */
  readonly name: string;
  readonly insteadOf: readonly string[] | undefined;
  /** The axis of classes of a map of them, in [C, H, W] or [H, W, C]; undefined where floats are no such map. */
  readonly mapLayout: ImageInput['layout'] | undefined;
  /** Whether whole numbers can be a map of classes. */
  readonly isMapSize: (height: number, width: number) => boolean;
  /** The paths of the models, for messages. */
  readonly paths: { readonly original: string; readonly own: string };
}

export function tallyOutput(options: OutputTallyOptions): OutputTally {
  const { name, mapLayout, isMapSize, insteadOf, paths } = options;
  let shape: readonly number[] | undefined;
  let reason: string | undefined;
  let map: ReturnType<typeof tallyMaps> | undefined;
  const errors: number[] = [];
  let zeros = 0;
  let labels: { same: number; count: number } | undefined;

  const addFloats = (original: Float64Array, other: Float64Array): void => {
    if (mapLayout !== undefined) {
      const classes = mapLayout === 'nhwc' ? shape!.at(-1)! : shape![0]!;
      const [of, is] = [original, other].map((values) => largestOf(values, classes, mapLayout === 'nhwc'));
      (map ??= tallyMaps()).add(of!, is!);
    }
    const error = relativeError(original, other);
    if (error === undefined) zeros++;
    else if (Number.isFinite(error)) errors.push(error);
    else reason ??= `it is not finite in ${paths.own} where it is in ${paths.original}`;
  };
  const addWholes = (original: Float64Array, other: Float64Array): void => {
    const sides = shape!.filter((dim) => dim !== 1);
    if (original.length === 1) {
      labels ??= { same: 0, count: 0 };
      labels.count++;
      if (original[0] === other[0]) labels.same++;
    } else if (sides.length === 2 && isMapSize(sides[0]!, sides[1]!)) (map ??= tallyMaps()).add(original, other);
    else reason ??= 'it is of whole numbers, and no map of classes';
  };

  return {
    add(original, other) {
      if (reason !== undefined) return;
      if (original === undefined || other === undefined) {
        reason = 'it has no axis of pictures, and the model takes several at once';
        return;
      }
      shape ??= original.dims;
      const areFloats = [original, other].map(({ type }) => floatTypes.has(type));
      if (String(shape) !== String(original.dims)) reason = 'its size is another for each picture';
      else if (String(shape) !== String(other.dims)) {
        reason = `it is [${shape.join(', ')}] in ${paths.original} and [${other.dims.join(', ')}] in ${paths.own}`;
      } else if (areFloats[0] !== areFloats[1]) reason = 'it is of floats in one and of whole numbers in the other';
      else (areFloats[0]! ? addFloats : addWholes)(toNumbers(original), toNumbers(other));
    },
    get reason() {
      return reason ?? (errors.length === 0 && zeros > 0 ? 'it is 0 or not finite on all pictures' : undefined);
    },
    get warnings() {
      if (zeros === 0 || errors.length === 0) return [];
      return [
        `output '${name}' of ${paths.original} is 0 or not finite on ${zeros} pictures: they have no relative error`,
      ];
    },
    result: () => ({
      ...{ name, shape: shape ?? [] },
      ...(insteadOf === undefined ? {} : { insteadOf }),
      relativeError: errors.length === 0 ? null : meanOverPictures(errors),
      map: map?.result() ?? null,
      label:
        labels === undefined
          ? null
          : { share: labels.same / labels.count, ci95: wilsonInterval(labels.same, labels.count) },
    }),
  };
}

/**
 * ‖ŷ − y‖ / ‖y‖ of the numbers that are finite in the original; not finite where another is not. undefined where they are 0
 * in the original alone, or none are finite.
 */
function relativeError(original: Float64Array, other: Float64Array): number | undefined {
  let errors = 0;
  let squares = 0;
  let count = 0;
  for (let i = 0; i < original.length; i++) {
    const was = original[i]!;
    if (!Number.isFinite(was)) continue;
    errors += (other[i]! - was) ** 2;
    squares += was * was;
    count++;
  }
  if (count === 0 || (squares === 0 && errors > 0)) return undefined;
  return errors === 0 ? 0 : Math.sqrt(errors / squares);
}
