import type { SchemeRule } from './scheme.js';

/** All of the window, then 1×1: the matrix out × in·kh·kw. */
export const channel: SchemeRule = {
  factors: [
    { mark: 'v', window: [true, true] },
    { mark: 'u', window: [false, false] },
  ],
  appliesTo: (_, isDense) => !isDense,
};
