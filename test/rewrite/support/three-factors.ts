import type { Scheme } from '../../../src/contracts/convert.js';
import type { Matrix } from '../../../src/linalg/types.js';
import { schemes } from '../../../src/rewrite/schemes/index.js';
import type { SchemeRule } from '../../../src/rewrite/schemes/scheme.js';
import type { FactorPair } from '../../../src/rewrite/types.js';

/** left · right with 2 P between, P the cyclic permutation: (left Pᵀ / 2) · (2 P) · right. */
function withCore({ left, right }: FactorPair): readonly Matrix[] {
  const rank = left.cols;
  const next = (k: number): number => (k + 1) % rank;
  const core: Matrix = { rows: rank, cols: rank, data: new Float32Array(rank * rank) };
  for (let k = 0; k < rank; k++) core.data[next(k) * rank + k] = 2;
  const data = new Float32Array(left.data.length);
  for (let row = 0; row < left.rows; row++) {
    for (let k = 0; k < rank; k++) data[row * rank + next(k)] = left.data[row * rank + k]! / 2;
  }
  return [right, core, { ...left, data }];
}

/** W = U S Vᵀ of a convolution: all of the window, then 1×1 twice. */
const core: SchemeRule = {
  factors: [
    { mark: 'v', window: [true, true] },
    { mark: 's', window: [false, false] },
    { mark: 'u', window: [false, false] },
  ],
  appliesTo: (_, isDense) => !isDense,
  split: withCore,
};

/** Tucker-2: the core has the window. */
const tucker: SchemeRule = {
  factors: [
    { mark: 'v', window: [false, false] },
    { mark: 's', window: [true, true] },
    { mark: 'u', window: [false, false] },
  ],
  appliesTo: (_, isDense) => !isDense,
};

/** 1×1, then the width, then the height. */
const split: SchemeRule = {
  factors: [
    { mark: 'v', window: [false, false] },
    { mark: 's', window: [false, true] },
    { mark: 'u', window: [true, false] },
  ],
  appliesTo: (_, isDense) => !isDense,
};

/** W = U S Vᵀ of a dense layer. */
const products: SchemeRule = {
  ...core,
  factors: core.factors.map(({ mark }) => ({ mark, window: [false, false] })),
  appliesTo: (_, isDense) => isDense,
};

/** Adds them to the schemes that there are, as lines of the index do. */
export function addThreeFactorSchemes(): Readonly<Record<'core' | 'tucker' | 'split' | 'products', Scheme>> {
  Object.assign(schemes, { core, tucker, split, products });
  const name = (own: string): Scheme => own as Scheme;
  return { core: name('core'), tucker: name('tucker'), split: name('split'), products: name('products') };
}
