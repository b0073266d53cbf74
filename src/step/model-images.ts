import { LowrankError } from '../errors.js';
import { layoutOf } from '../graph/image-layout.js';
import type { Model } from '../graph/model.js';
import { describeType } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { FLOAT } from '../onnx/data-type.js';
import { describeInputs, inputRemedy } from '../passes/fix-inputs.js';
import { inferShapes } from '../ops/infer.js';

/** How many images a model was exported for, where that is fixed. */
export function fixedBatch({ declared }: Value): number | undefined {
  const batch = declared?.dims?.[0];
  return typeof batch === 'number' ? batch : undefined;
}

/** The one input, float32 images in a batch. Throws UNSUPPORTED. */
export function imageInput({ graph }: Model): Value {
  const inputs = graph.inputs.filter((value) => value.tensor === undefined);
  const [images] = inputs;
  if (inputs.length !== 1 || images === undefined) {
    throw new LowrankError(
      'UNSUPPORTED',
      `the model has ${inputs.length} inputs where training needs one, the images`,
      {
        place: describeInputs(inputs),
        remedy: inputRemedy,
      },
    );
  }
  const { declared } = images;
  if (declared?.dataType === FLOAT && declared.dims !== undefined && declared.dims.length >= 2) return images;
  throw new LowrankError('UNSUPPORTED', 'the input is no float32 batch', {
    place: `input '${images.name}'${declared === undefined ? '' : ` ${describeType(declared)}`}`,
    remedy: 'give a model that takes float32 images',
  });
}

/** The dimensions of square images of the given side, with the channels of the model. */
export function squareDims(model: Model, images: Value, side: number): readonly number[] {
  const dims = inferShapes(model).require(images).dims.slice(1);
  const place = `input '${images.name}'`;
  const remedy = 'leave out --image-size';
  if (dims.length !== 3) {
    throw new LowrankError('USAGE', `the model takes [${dims.join(', ')}], which has no image size`, { place, remedy });
  }
  const square = layoutOf(dims) === 'nhwc' ? [side, side, dims[2]!] : [dims[0]!, side, side];
  const fixed = images.declared!.dims!.slice(1);
  if (fixed.every((dim, i) => typeof dim !== 'number' || dim === square[i])) return square;
  throw new LowrankError('USAGE', `the model takes images of [${dims.join(', ')}], not [${square.join(', ')}]`, {
    place,
    remedy,
  });
}
