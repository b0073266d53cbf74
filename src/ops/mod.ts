import { binary } from './support/elementwise.js';

/** The remainder of a/b, of the sign of b, or of a with fmod (ai.onnx 10, broadcast). */
export const mod = binary('Mod', (a, b, { node }) => {
  const remainder = a % b;
  const isOtherSign = remainder !== 0 && remainder < 0 !== b < 0;
  return isOtherSign && node.int('fmod', 0) === 0 ? remainder + b : remainder;
});
