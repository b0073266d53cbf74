import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { normalizeAxis } from './support/layout.js';
import { scatterRows } from './support/scatter.js';
import { pick, upTo } from './support/select.js';

/** Entries of x at `indices` along an axis (ai.onnx 1; negative indices since 11). */
export const gather: Operator = {
  opType: 'Gather',
  domain: '',
  gradient: rule(({ e, node, inputs: [x, indices], gradients: [dy] }) => {
    const axis = normalizeAxis(node.int('axis', 0), e.rank(x!));
    return [scatterRows(e, dy!, indices!, x!, axis)];
  }),
  infer: (context) => {
    const x = input(context, 0);
    const indices = input(context, 1);
    const axis = normalizeAxis(context.node.int('axis', 0), x.dims.length);
    const dims = [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)];
    if (x.constant === undefined || indices.constant === undefined) return [known(x.dataType, dims)];
    const size = x.dims[axis]!;
    const list = indices.constant.map((index) => {
      if (index < -size || index >= size) throw shapeError(`index ${index} on an axis of size ${size}`);
      return index < 0 ? index + size : index;
    });
    const lists = x.dims.map((dim, i) => (i === axis ? list : upTo(dim)));
    return [known(x.dataType, dims, pick(x.constant, x.dims, lists))];
  },
};
