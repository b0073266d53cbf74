import { type OpsetRule, rules } from './rule.js';

/** C is broadcast without `broadcast` since ai.onnx 7, and optional since 11. */
export const gemm: readonly OpsetRule[] = rules(
  { Gemm: [1, 6, 7, 9, 11, 13] },
  { 7: (call) => call.removeAttribute('broadcast') },
);
