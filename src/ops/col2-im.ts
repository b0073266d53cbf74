import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenInput, input, known } from './support/known.js';
import { showDims, sizeOf } from './support/layout.js';

/** Columns [N, C·Π block, L] summed into images [N, C, image…] (ai.onnx 18). */
export const col2Im: Operator = {
  opType: 'Col2Im',
  domain: '',
  gradient: none('no ONNX operator takes images apart into columns'),
  infer: (context) => {
    const { dataType, dims } = input(context, 0);
    const image = givenInput(context, 1);
    const block = givenInput(context, 2);
    if (image === 'unknown' || block === 'unknown') return undefined;
    const [n, rows] = dims;
    if (dims.length !== 3 || image === 'absent' || block === 'absent' || rows! % sizeOf(block) !== 0) {
      throw shapeError(`Col2Im of ${showDims(dims)}`);
    }
    return [known(dataType, [n!, rows! / sizeOf(block), ...image])];
  },
};
