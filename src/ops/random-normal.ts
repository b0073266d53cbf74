import { FLOAT } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { known } from './support/known.js';

/** Normal random numbers of the shape and type of the attributes (ai.onnx 1). */
export const randomNormal: Operator = {
  opType: 'RandomNormal',
  domain: '',
  gradient: zero,
  infer: ({ node }) => [known(node.int('dtype', FLOAT), node.ints('shape') ?? [])],
};
