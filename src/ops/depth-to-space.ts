import { int } from '../graph/attributes.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

/** [N, C·b², H, W] → [N, C, H·b, W·b] (ai.onnx 1, 11, 13). */
export const depthToSpace: Operator = {
  opType: 'DepthToSpace',
  domain: '',
  gradient: rule(({ e, node, inputs: [x], gradients: [dy] }) => {
    const block = node.int('blocksize', 1);
    if (node.string('mode', 'DCR') === 'DCR') return [e.emit('SpaceToDepth', [dy!], { blocksize: int(block) })];
    // CRD: [N, C·b·b, H, W] = [N, C, b, b, H, W] → [N, C, H, b, W, b]
    const [, c, h, w] = e.dims(x!);
    const blocks = e.reshape(dy!, [0, c! / (block * block), h!, block, w!, block]);
    return [e.reshape(e.transpose(blocks, [0, 1, 3, 5, 2, 4]), [0, c!, h!, w!])];
  }),
  infer: (context) => {
    const x = input(context, 0);
    const block = context.node.int('blocksize', 0);
    const [n, c, h, w] = x.dims;
    if (x.dims.length !== 4 || block < 1 || c! % (block * block) !== 0) {
      throw shapeError(`blocks of ${block} for ${showDims(x.dims)}`);
    }
    return [known(x.dataType, [n!, c! / (block * block), h! * block, w! * block])];
  },
};
