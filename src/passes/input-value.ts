import { LowrankError } from '../errors.js';
import { readNpy } from '../files/npy.js';
import { numberToBfloat16, numberToFloat16 } from '../float16.js';
import { describeType } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { BFLOAT16, dataTypeName, DOUBLE, FLOAT, FLOAT16, INT64, UINT64 } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { sizeOf } from '../ops/support/layout.js';
import type { ElementType, TensorData } from '../runtime/types.js';

/**
 * The value of an input for one image, or for all, without the first dimension where that is open, as a tensor of this name. `text`: a
 * number, numbers with commas between, or "@file.npy". Throws USAGE where it does not fit the input, UNSUPPORTED where the input's
 * type is none of numbers or its shape is not declared, and what `readNpy` throws.
 */
export function constantOf(
  value: Value,
  name: string,
  text: string,
): { readonly tensor: Tensor; readonly isOpen: boolean } {
  const { declared } = value;
  const place = `--input ${value.name}=${text.length > 40 ? `${text.slice(0, 40)}…` : text}`;
  const dims = declared?.dims;
  if (declared === undefined || dims === undefined) {
    throw new LowrankError('UNSUPPORTED', `the shape of input '${value.name}' is not declared`, { place });
  }
  const isOpen = dims.length > 0 && typeof dims[0] !== 'number';
  const own = isOpen ? dims.slice(1) : dims;
  const said = `'${value.name}' is ${describeType(declared)}`;
  const fail = (fact: string, remedy: string): never => {
    throw new LowrankError('USAGE', fact, { place, remedy });
  };
  const { numbers, shape } = numbersOf(text, fail);
  const wanted = shapeOf(own, numbers.length, shape);
  if (wanted === undefined) {
    const found =
      shape === undefined
        ? numbers.length === 1
          ? 'one number'
          : `${numbers.length} numbers`
        : `an array of [${shape.join(', ')}]`;
    fail(
      `${said}, and ${found} cannot fill it`,
      'give one number where its size is known, or as many as one image has, or @file.npy',
    );
  }
  const isOne = numbers.length === 1 && own.length > 0;
  // A number stands for all elements; it counts as no parameter.
  const elements = isOne ? Array.from({ length: sizeOf(wanted!) }, () => numbers[0]!) : numbers;
  const bytes = encoded(elements, declared.dataType);
  if (typeof bytes === 'string') fail(`${said}, and ${bytes}`, 'give numbers of that type');
  return { tensor: Tensor.of(name, declared.dataType, wanted!, bytes as Uint8Array), isOpen };
}

function numbersOf(
  text: string,
  fail: (fact: string, remedy: string) => never,
): { readonly numbers: readonly number[]; readonly shape?: readonly number[] } {
  if (text.startsWith('@')) {
    const { dims, numbers } = readNpy(text.slice(1));
    return { numbers, shape: dims };
  }
  const named: Readonly<Record<string, number>> = { true: 1, false: 0 };
  const numbers = text.split(',').map((word) => {
    const plain = word.trim().toLowerCase();
    return named[plain] ?? (plain === '' ? Number.NaN : Number(plain));
  });
  if (numbers.some((number) => Number.isNaN(number)))
    fail(`'${text}' is no number`, 'give a number, numbers with commas between, or @file.npy');
  return { numbers };
}

/** The dimensions of an image's part: an open one is what the numbers say. undefined where they do not fit. */
function shapeOf(
  own: readonly (number | string | undefined)[],
  count: number,
  given: readonly number[] | undefined,
): readonly number[] | undefined {
  const isNumber = given === undefined && count === 1;
  if (given !== undefined) {
    // With a batch of one, or without that of the input.
    const isBatched = given.length === own.length + 1 && given[0] === 1;
    const shape = isBatched ? given.slice(1) : given.length === own.length - 1 && own[0] === 1 ? [1, ...given] : given;
    const fits =
      shape.length === own.length && own.every((dim, axis) => typeof dim !== 'number' || dim === shape[axis]);
    return fits ? shape : undefined;
  }
  const known = own.filter((dim) => typeof dim === 'number');
  const size = sizeOf(known);
  if (own.length - known.length > 1) return undefined;
  if (known.length === own.length) return isNumber || count === size ? known : undefined;
  // A number does not say how many there are.
  if (isNumber || size === 0 || count % size !== 0) return undefined;
  return own.map((dim) => (typeof dim === 'number' ? dim : count / size));
}

/** Numbers as the raw data of a tensor; why that cannot be where it cannot. */
function encoded(numbers: readonly number[], dataType: number): Uint8Array | string {
  const whole = wholeTypes[dataTypeName(dataType)];
  const bytesOf = (data: TensorData): Uint8Array => new Uint8Array(data.buffer);
  switch (dataType) {
    case FLOAT:
      return bytesOf(Float32Array.from(numbers));
    case DOUBLE:
      return bytesOf(Float64Array.from(numbers));
    case FLOAT16:
      return bytesOf(Uint16Array.from(numbers, numberToFloat16));
    case BFLOAT16:
      return bytesOf(Uint16Array.from(numbers, numberToBfloat16));
    default:
  }
  if (whole === undefined) return 'its type is none of numbers';
  const [least, most, of] = whole;
  const odd = numbers.find((number) => !Number.isInteger(number) || number < least || number > most);
  if (odd !== undefined) return `${odd} is none`;
  if (dataType === INT64) return bytesOf(BigInt64Array.from(numbers, BigInt));
  if (dataType === UINT64) return bytesOf(BigUint64Array.from(numbers, BigInt));
  return bytesOf(of!.from(numbers));
}

type WholeArray = { from(numbers: readonly number[]): TensorData };

/** The least and the largest number of each type. */
const wholeTypes: Readonly<Record<string, readonly [least: number, most: number, of?: WholeArray] | undefined>> = {
  bool: [0, 1, Uint8Array],
  uint8: [0, 255, Uint8Array],
  int8: [-128, 127, Int8Array],
  uint16: [0, 65_535, Uint16Array],
  int16: [-32_768, 32_767, Int16Array],
  uint32: [0, 2 ** 32 - 1, Uint32Array],
  int32: [-(2 ** 31), 2 ** 31 - 1, Int32Array],
  uint64: [0, Number.MAX_SAFE_INTEGER],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

/** Numbers of a type in memory. */
export function typedData(type: ElementType, buffer: ArrayBuffer): TensorData {
  switch (type) {
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
    case 'float16':
    case 'bfloat16':
    case 'uint16':
      return new Uint16Array(buffer);
    case 'int8':
      return new Int8Array(buffer);
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer);
    case 'int16':
      return new Int16Array(buffer);
    case 'int32':
      return new Int32Array(buffer);
    case 'uint32':
      return new Uint32Array(buffer);
    case 'int64':
      return new BigInt64Array(buffer);
    case 'uint64':
      return new BigUint64Array(buffer);
  }
}
