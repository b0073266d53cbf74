import { FLOAT } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { known } from './support/known.js';

/** Uniform random numbers of the shape and type of the attributes (ai.onnx 1). */
export const randomUniform: Operator = {
  opType: 'RandomUniform',
  domain: '',
  gradient: zero,
  infer: ({ node }) => [known(node.int('dtype', FLOAT), node.ints('shape') ?? [])],
};
