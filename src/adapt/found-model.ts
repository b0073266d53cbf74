import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import type { Matrix } from '../linalg/types.js';
import type { TrainedWeights } from '../step/export.js';
import type { LaidOut } from '../step/laid-out.js';
import { withPairs } from './cores.js';
import type { AdaptedLayer } from './layers.js';
import { factorsOf, namesOf } from './state.js';

/** The model of a state, with pairs of the ranks that its layers have; `isAveraged`: of the moving averages. */
export function foundModel(
  { source, layers }: { readonly source: Uint8Array; readonly layers: readonly AdaptedLayer[] },
  state: LaidOut,
  isAveraged: boolean,
): Uint8Array {
  const model = readModel(source);
  try {
    const pairs = factorsOf(state, layers).map(({ left, core, right, average }) =>
      balanced(left, isAveraged ? average! : core, right),
    );
    withPairs(model, layers, pairs);
    return modelBytes(model);
  } finally {
    model.file?.close();
  }
}

/** The weights of what is no layer whose rank was found. */
export function withoutLayers<T extends TrainedWeights>(weights: T, layers: readonly AdaptedLayer[]): T {
  const own = new Set(layers.flatMap(namesOf));
  return {
    ...weights,
    parameterSlots: weights.parameterSlots.filter(({ name }) => !own.has(name)),
    statisticSlots: weights.statisticSlots.filter(({ name }) => !own.has(name)),
  };
}

/** U S and Vᵀ, with what makes their columns and rows of one length: of a diagonal S, U √S and √S Vᵀ. */
function balanced(left: Matrix, core: Matrix, right: Matrix): { readonly left: Matrix; readonly right: Matrix } {
  const [rows, rank] = [left.rows, core.cols];
  const product = new Float64Array(rows * rank);
  for (let k = 0; k < core.rows; k++) {
    for (let j = 0; j < rank; j++) {
      const value = core.data[k * rank + j]!;
      if (value === 0) continue;
      for (let i = 0; i < rows; i++) {
        product[i * rank + j] = product[i * rank + j]! + left.data[i * left.cols + k]! * value;
      }
    }
  }
  const squares = new Float64Array(rank);
  product.forEach((value, at) => {
    squares[at % rank] = squares[at % rank]! + value * value;
  });
  const scales = squares.map((square) => (square > 0 ? square ** 0.25 : 1));
  return {
    left: { rows, cols: rank, data: Float32Array.from(product, (value, at) => value / scales[at % rank]!) },
    right: { ...right, data: right.data.map((value, at) => value * scales[Math.floor(at / right.cols)]!) },
  };
}
