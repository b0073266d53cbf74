import type { Matrix } from '../linalg/types.js';

/** A scalar function applied to a layer's output. Parameters are those of the ONNX attributes. */
export type Activation =
  | { readonly kind: 'linear' }
  | { readonly kind: 'Relu' }
  | { readonly kind: 'LeakyRelu'; readonly alpha: number }
  | { readonly kind: 'Clip'; readonly min: number; readonly max: number } // ReLU6 is Clip(0, 6)
  | { readonly kind: 'SiLU' } // x · sigmoid(x), also called swish
  | { readonly kind: 'HardSwish' } // x · clip(x/6 + 1/2, 0, 1)
  | { readonly kind: 'HardSigmoid'; readonly alpha: number; readonly beta: number } // clip(αx + β, 0, 1)
  | { readonly kind: 'Sigmoid' }
  | { readonly kind: 'Tanh' }
  | { readonly kind: 'Gelu' }; // the erf form

/** weight ≈ left · right. */
export interface FactorPair {
  /** rows × rank */
  readonly left: Matrix;
  /** rank × cols */
  readonly right: Matrix;
  /** What `right` is made of where a scheme has three factors. */
  readonly inner?: InnerFactors | undefined;
}

/** right = core · (basis ⊗ I): the window is the core's. */
export interface InnerFactors {
  /** inner × in */
  readonly basis: Matrix;
  /** rank × inner·kh·kw */
  readonly core: Matrix;
}
