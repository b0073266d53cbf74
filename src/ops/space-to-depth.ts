import { int } from '../graph/attributes.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

/** [N, C, H·b, W·b] → [N, C·b², H, W] (ai.onnx 1, 13). */
export const spaceToDepth: Operator = {
  opType: 'SpaceToDepth',
  domain: '',
  gradient: rule(({ e, node, gradients: [dy] }) => [
    e.emit('DepthToSpace', [dy!], { blocksize: int(node.int('blocksize', 1)) }),
  ]),
  infer: (context) => {
    const x = input(context, 0);
    const block = context.node.int('blocksize', 0);
    const [n, c, h, w] = x.dims;
    if (x.dims.length !== 4 || block < 1 || h! % block !== 0 || w! % block !== 0) {
      throw shapeError(`blocks of ${block} for ${showDims(x.dims)}`);
    }
    return [known(x.dataType, [n!, c! * block * block, h! / block, w! / block])];
  },
};
