import type { SchemeRule } from './scheme.js';

/** 1×kw, then kh×1: the matrix out·kh × in·kw (Khodak et al., with the permutation (0,2,1,3)). */
export const spatial: SchemeRule = {
  factors: [
    { mark: 'v', window: [false, true] },
    { mark: 'u', window: [true, false] },
  ],
  appliesTo: ({ kernel: [kh, kw] }, isDense) => !isDense && (kh > 1 || kw > 1),
};
