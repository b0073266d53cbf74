import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

/** [N, C·b², H, W] → [N, C, H·b, W·b] (ai.onnx 1, 11, 13). */
export const depthToSpace: Operator = {
  opType: 'DepthToSpace',
  domain: '',
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
