import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';

/** x [N, C, …] sampled at grid [N, out…, axes] (ai.onnx 16, 20, 22). */
export const gridSample: Operator = {
  opType: 'GridSample',
  domain: '',
  settings: [1],
  gradient: none('sampling at computed places has no rule here'),
  infer: (context) => {
    const x = input(context, 0);
    const grid = input(context, 1).dims;
    if (grid.length !== x.dims.length || x.dims.length < 3 || grid[0] !== x.dims[0]) {
      throw shapeError(`grid ${showDims(grid)} for ${showDims(x.dims)}`);
    }
    return [known(x.dataType, [x.dims[0]!, x.dims[1]!, ...grid.slice(1, -1)])];
  },
};
