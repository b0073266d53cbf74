import { LowrankError } from '../errors.js';
import type { DeviceTensor } from '../runtime/types.js';

/** A row-major matrix in either precision, without gaps. */
export interface RealMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array | Float64Array;
}

/** A float32 matrix in the memory of a device. */
export interface DeviceMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly tensor: DeviceTensor;
}

/** What is multiplied, and where a product goes. */
export type Operand = RealMatrix | DeviceMatrix;

export function isOnDevice(matrix: Operand): matrix is DeviceMatrix {
  return 'tensor' in matrix;
}

/** The matrix of an engine that knows arrays alone. */
export function arrayOf(matrix: Operand): RealMatrix {
  if (!isOnDevice(matrix)) return matrix;
  throw new LowrankError('INTERNAL', `a matrix on ${matrix.tensor.location} where only arrays are multiplied`);
}
