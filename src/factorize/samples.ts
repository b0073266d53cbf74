import type { Model } from '../graph/model.js';
import { dataTypeName } from '../onnx/data-type.js';
import { LowrankError } from '../errors.js';
import { numberToBfloat16, numberToFloat16 } from '../onnx/float16.js';
import type { ShapeTable } from '../ops/infer.js';
import type { ElementType, RuntimeTensor, TensorData } from '../runtime/types.js';
import { createRandom } from './random.js';

/**
 * Random inputs for a model at its bound shapes: floats from N(0, 1), integers from 0 to 1, the same for the same seed.
 * Throws UNSUPPORTED where an input is no tensor of numbers.
 */
export function sampleFeeds(model: Model, shapes: ShapeTable, seed: number): Record<string, RuntimeTensor> {
  const random = createRandom(seed);
  const feeds: Record<string, RuntimeTensor> = {};
  for (const input of model.graph.inputs) {
    if (input.isInitializer) continue;
    const type = shapes.typeOf(input);
    if (type === undefined) {
      throw new LowrankError('UNSUPPORTED', `input '${input.name}' has no known shape`, {
        remedy: 'give --input-shape',
      });
    }
    const count = type.dims.reduce((product, dim) => product * dim, 1);
    const name = dataTypeName(type.dataType);
    feeds[input.name] = {
      type: name as ElementType,
      dims: type.dims,
      data: sampleData(name, count, input.name, random),
    };
  }
  return feeds;
}

function sampleData(type: string, count: number, name: string, random: ReturnType<typeof createRandom>): TensorData {
  const normal = (): number => random.normal();
  const bit = (): number => (random.uniform() < 0.5 ? 0 : 1);
  switch (type) {
    case 'float32':
      return Float32Array.from({ length: count }, normal);
    case 'float64':
      return Float64Array.from({ length: count }, normal);
    case 'float16':
      return Uint16Array.from({ length: count }, () => numberToFloat16(normal()));
    case 'bfloat16':
      return Uint16Array.from({ length: count }, () => numberToBfloat16(normal()));
    case 'int64':
      return BigInt64Array.from({ length: count }, () => BigInt(bit()));
    case 'int32':
      return Int32Array.from({ length: count }, bit);
    case 'uint8':
    case 'bool':
      return Uint8Array.from({ length: count }, bit);
    case 'int8':
      return Int8Array.from({ length: count }, bit);
    default:
      throw new LowrankError('UNSUPPORTED', `input '${name}' is of type ${type}`, { remedy: 'pass --no-verify' });
  }
}

/** Elements as numbers, for comparing outputs. */
export function toNumbers(tensor: RuntimeTensor): Float64Array {
  return Float64Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}
