import type { Matrix } from '../../linalg/types.js';
import type { Geometry } from '../geometry.js';
import type { FactorPair } from '../types.js';

/** One of the layers in a row that stand for one layer. */
export interface SchemeFactor {
  /** What the names of its weight and node end in: `conv.weight.v`. */
  readonly mark: string;
  /**
   * Whether it has the layer's window (kernel, stride, padding, dilation) along height and along width; where it has not, it is
   * 1 wide. Of a convolution each axis belongs to one factor.
   */
  readonly window: readonly [height: boolean, width: boolean];
}

/**
 * A way to write a layer's weight as a product of factors, `rank` channels between any two: one file in schemes/ and one line in
 * its index. What the factors cost and how they are stored, emitted, found and multiplied follows from them.
 */
export interface SchemeRule {
  /** In the order in which they are applied, two at least. */
  readonly factors: readonly SchemeFactor[];
  /** Whether it is a choice for such a layer. */
  appliesTo(geometry: Geometry, isDense: boolean): boolean;
  /**
   * The factors as matrices, in the order in which they are applied, of weight ≈ left · right: those between the first and the
   * last are rank × rank. Default, of two factors: right, left.
   */
  split?(pair: FactorPair): readonly Matrix[];
}
