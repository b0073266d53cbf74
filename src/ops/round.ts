import { zero } from './gradient.js';
import { unary } from './support/elementwise.js';

/** The nearest integer, halves to even (ai.onnx 11). */
export const round = unary('Round', zero, (x) => {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
});
