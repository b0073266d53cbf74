import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { normalizeAxis } from './support/layout.js';
import { scatterElements } from './support/scatter.js';

/** One element of x for each of `indices`, along an axis (ai.onnx 11). */
export const gatherElements: Operator = {
  opType: 'GatherElements',
  domain: '',
  gradient: rule(({ e, node, inputs: [x, indices], gradients: [dy] }) => {
    const axis = normalizeAxis(node.int('axis', 0), e.rank(x!));
    return [scatterElements(e, dy!, indices!, x!, axis)];
  }),
  infer: (context) => [known(input(context, 0).dataType, input(context, 1).dims)],
};
