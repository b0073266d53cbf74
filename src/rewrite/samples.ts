import type { Model } from '../graph/model.js';
import { dataTypeName } from '../onnx/data-type.js';
import { LowrankError } from '../errors.js';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../float16.js';
import type { ShapeTable } from '../ops/infer.js';
import { fillTruncatedNormal, randomStream } from '../random.js';
import type { ElementType, RuntimeTensor, TensorData } from '../runtime/types.js';

/**
 * Random inputs for a model at its bound shapes: floats from a normal distribution cut at two standard deviations, integers
 * 0 or 1; the same for the same seed.
 * Throws UNSUPPORTED where an input is no tensor of numbers.
 */
export function sampleFeeds(model: Model, shapes: ShapeTable, seed: number): Record<string, RuntimeTensor> {
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
      data: sampleData(name, randomFloats(count, seed, input.name), input.name),
    };
  }
  return feeds;
}

/** `count` numbers from N(0, 1) cut at ±2, the same for the same seed and name. */
export function randomFloats(count: number, seed: number, name: string): Float32Array {
  const values = new Float32Array(count);
  fillTruncatedNormal(randomStream(seed, name), values, 0, 1);
  return values;
}

function sampleData(type: string, values: Float32Array, name: string): TensorData {
  const bit = (value: number): number => (value > 0 ? 1 : 0);
  switch (type) {
    case 'float32':
      return values;
    case 'float64':
      return Float64Array.from(values);
    case 'float16':
      return Uint16Array.from(values, numberToFloat16);
    case 'bfloat16':
      return Uint16Array.from(values, numberToBfloat16);
    case 'int64':
      return BigInt64Array.from(values, (value) => BigInt(bit(value)));
    case 'int32':
      return Int32Array.from(values, bit);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values, bit);
    case 'int8':
      return Int8Array.from(values, bit);
    default:
      throw new LowrankError('UNSUPPORTED', `input '${name}' is of type ${type}`, { remedy: 'pass --no-verify' });
  }
}

/** Elements as numbers, for comparing outputs; 16-bit floats come as bit patterns. */
export function toNumbers(tensor: RuntimeTensor): Float64Array {
  const decode =
    tensor.type === 'float16' ? float16ToNumber : tensor.type === 'bfloat16' ? bfloat16ToNumber : undefined;
  if (decode !== undefined) return Float64Array.from(tensor.data as Uint16Array, (bits) => decode(bits));
  return Float64Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}
