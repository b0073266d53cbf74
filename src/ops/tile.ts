import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenInput, input, known } from './support/known.js';
import { showDims } from './support/layout.js';
import { pick, upTo } from './support/select.js';

/** x repeated along each axis (ai.onnx 6, 13). */
export const tile: Operator = {
  opType: 'Tile',
  domain: '',
  gradient: rule(({ e, inputs: [x, repeats], gradients: [dy] }) => {
    const dims = e.dims(x!);
    const given = e.typeOf(repeats!).constant!;
    const parts = dims.flatMap((dim, i) => (given[i] === 1 ? [dim] : [given[i]!, dim]));
    // The batch is the first dimension: copied, or what is left.
    const free = e.isBatchOpen && dims.length > 0 ? parts.with(given[0] === 1 ? 0 : 1, given[0] === 1 ? 0 : -1) : parts;
    const axes: number[] = [];
    let at = 0;
    for (const count of given) {
      if (count !== 1) axes.push(at++);
      at++;
    }
    return [e.reduceSum(e.reshape(dy!, free), axes, false)];
  }),
  infer: (context) => {
    const x = input(context, 0);
    const repeats = givenInput(context, 1);
    if (repeats === 'unknown') return undefined;
    if (repeats === 'absent' || repeats.length !== x.dims.length) {
      throw shapeError(`repeats ${repeats === 'absent' ? 'missing' : showDims(repeats)} for ${showDims(x.dims)}`);
    }
    const dims = x.dims.map((dim, i) => dim * repeats[i]!);
    if (x.constant === undefined) return [known(x.dataType, dims)];
    const lists = dims.map((dim, i) => upTo(dim).map((index) => index % x.dims[i]!));
    return [known(x.dataType, dims, pick(x.constant, x.dims, lists))];
  },
};
