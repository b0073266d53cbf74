import { LowrankError } from '../../errors.js';
import type { SchemeRule } from './scheme.js';

/**
 * 1×1, then a core with the window, then 1×1: Tucker-2 (Kim, Park, Yoo, Choi, Yang and Shin, "Compression of Deep Convolutional
 * Neural Networks for Fast and Low Power Mobile Applications", arXiv 1511.06530). Its matrix is that of `channel`, out × in·kh·kw,
 * and its rank what lies before the last factor; the matrix `right` is the core behind the first factor.
 */
export const tucker: SchemeRule = {
  factors: [
    { mark: 'v', window: [false, false] },
    { mark: 's', window: [true, true] },
    { mark: 'u', window: [false, false] },
  ],
  appliesTo: (geometry, isDense) =>
    !isDense &&
    geometry.isTransposed !== true &&
    (geometry.groups ?? 1) === 1 &&
    geometry.kernel[0] * geometry.kernel[1] > 1,
  split: ({ left, inner }) => {
    if (inner === undefined) throw new LowrankError('INTERNAL', 'a Tucker pair without its core');
    return [inner.basis, inner.core, left];
  },
};
