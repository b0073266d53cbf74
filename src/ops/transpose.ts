import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { permutation, transposed } from './support/layout.js';
import { permuteElements } from './support/select.js';

/** Axes in the order `perm`, reversed without it (ai.onnx 1). */
export const transpose: Operator = {
  opType: 'Transpose',
  domain: '',
  gradient: rule(({ e, node, gradients: [dy] }) => {
    const perm = permutation(node.ints('perm'), e.rank(dy!));
    return [
      e.transpose(
        dy!,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  }),
  infer: (context) => {
    const x = input(context, 0);
    const perm = permutation(context.node.ints('perm'), x.dims.length);
    const constant = x.constant === undefined ? undefined : permuteElements(x.constant, x.dims, perm);
    return [known(x.dataType, transposed(x.dims, perm), constant)];
  },
};
