import { INT64 } from '../onnx/data-type.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenInput, input, known } from './support/known.js';
import { normalizeAxis } from './support/layout.js';
import { scatterElements } from './support/scatter.js';

/** The k largest or smallest elements along an axis, and their int64 indices: k an attribute in ai.onnx 1, an input since 10. */
export const topK: Operator = {
  opType: 'TopK',
  domain: '',
  gradient: rule(({ e, node, inputs: [x], outputs: [, indices], gradients: [dy] }) => {
    const axis = normalizeAxis(node.int('axis', -1), e.rank(x!));
    return [scatterElements(e, dy!, indices!, x!, axis)];
  }),
  infer: (context) => {
    const x = input(context, 0);
    const axis = normalizeAxis(context.node.int('axis', -1), x.dims.length);
    const given = context.node.int('k');
    const k = given === undefined ? givenInput(context, 1) : [given];
    if (k === 'unknown') return undefined;
    if (k === 'absent') throw shapeError('TopK without k');
    const dims = x.dims.with(axis, k[0]!);
    return [known(x.dataType, dims), known(INT64, dims)];
  },
};
