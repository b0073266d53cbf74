import type { Session } from '../runtime/types.js';
import { type DeviceMatrix, isOnDevice, type Operand } from './operand.js';
import type { Scratch } from './scratch.js';
import type { Matrix32 } from './svd-task.js';

/** Where float32 matrices lie that several products use. */
export interface ProductMemory {
  /** Room for a matrix; it holds anything. */
  take(rows: number, cols: number): Operand;
  /** A matrix from the scratch memory, which the caller may not use any more. */
  move(matrix: Matrix32): Promise<Operand>;
  /** A matrix that stays the caller's, who leaves it as it is until the end. */
  lend(matrix: Matrix32): Promise<Operand>;
  /** Changes the numbers of a matrix in JavaScript. */
  edit(matrix: Operand, change: (data: Float32Array) => void): Promise<void>;
  /** Ends what `take` or `move` gave. */
  give(...matrices: readonly Operand[]): void;
  /** Ends what `lend` gave. */
  end(lent: Operand): void;
}

/** Arrays, which products on the CPU use in place: nothing is copied. */
export function arrayMemory(scratch: Scratch): ProductMemory {
  return {
    take: (rows, cols) => scratch.take32(rows, cols),
    move: (matrix) => Promise.resolve(matrix),
    lend: (matrix) => Promise.resolve(matrix),
    edit: (matrix, change) => {
      change((matrix as Matrix32).data);
      return Promise.resolve();
    },
    give: (...matrices) => {
      scratch.give(...(matrices as Matrix32[]));
    },
    end: () => undefined,
  };
}

/** The memory of a session's device: a matrix crosses when it is moved, lent or edited, and when a product is an array. */
export function deviceMemory(session: Session, scratch: Scratch): ProductMemory {
  const take = (rows: number, cols: number): DeviceMatrix => ({
    rows,
    cols,
    tensor: session.allocate('float32', [rows, cols]),
  });
  const lend = async (matrix: Matrix32): Promise<DeviceMatrix> => {
    const copy = take(matrix.rows, matrix.cols);
    await copy.tensor.write(matrix.data);
    return copy;
  };
  const give = (...matrices: readonly Operand[]): void => {
    for (const matrix of matrices) if (isOnDevice(matrix)) matrix.tensor.close();
  };
  return {
    take,
    lend,
    move: async (matrix) => {
      const copy = await lend(matrix);
      scratch.give(matrix);
      return copy;
    },
    edit: async (matrix, change) => {
      const { tensor } = matrix as DeviceMatrix;
      const host = scratch.take32(matrix.rows, matrix.cols);
      await tensor.read(host.data);
      change(host.data);
      await tensor.write(host.data);
      scratch.give(host);
    },
    give,
    end: give,
  };
}
