import { afterAll, beforeAll } from 'vitest';
import type { InitProblem } from '../../../src/factorize/types.js';
import type { Activation } from '../../../src/rewrite/types.js';
import { createLinalg } from '../../../src/linalg/linalg.js';
import type { Linalg, Matrix } from '../../../src/linalg/types.js';
import { loadDriver } from '../../../src/runtime/driver.js';

/** The product's own linear algebra; its workers are those that `npm run build` made. */
export async function testLinalg(): Promise<Linalg> {
  return createLinalg({ driver: await loadDriver() });
}

/** Linear algebra for the tests of a file, and problems stated with it. */
export interface Fitting {
  /** Open while tests run. */
  readonly linalg: Linalg;
  problemOf(weight: Matrix, rank: number, rowsPerNeuron?: number, activation?: Activation): InitProblem;
}

/** Opens the linear algebra before the tests of a file and closes it behind them. */
export function fittingTests(): Fitting {
  let linalg: Linalg;
  beforeAll(async () => {
    linalg = await testLinalg();
  });
  afterAll(() => linalg.close());
  return {
    get linalg() {
      return linalg;
    },
    problemOf: (weight, rank, rowsPerNeuron = 1, activation = { kind: 'Relu' }) => ({
      ...{ weight, rank, rowsPerNeuron, activation, linalg },
      seed: 1,
    }),
  };
}
