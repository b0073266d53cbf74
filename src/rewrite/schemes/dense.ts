import type { SchemeRule } from './scheme.js';

/** Two products: the matrix out × in. */
export const dense: SchemeRule = {
  factors: [
    { mark: 'v', window: [false, false] },
    { mark: 'u', window: [false, false] },
  ],
  appliesTo: (_, isDense) => isDense,
};
