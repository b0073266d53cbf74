import { int, ints } from '../../graph/attributes.js';
import { sizeOf } from '../../ops/support/layout.js';
import { gatherTaps } from './gather.js';
import { unscaled } from './gradient.js';
import type { LoweringRule } from './rule.js';
import { adjointTable, type Geometry, poolGeometry } from './window.js';

/** AveragePool with the batch as one more spatial axis; back, each element adds what the windows that hold it give. */
export const averagePool: LoweringRule = (node, { dims }) => {
  const input = node.inputs[0];
  if (!node.is('AveragePool') || input === undefined || dims(input).length > 4) return undefined;
  const geometry = poolGeometry(node, dims(input).slice(2));
  if (geometry === undefined) return undefined;
  const countsPadding = node.int('count_include_pad', 0) !== 0;
  return {
    emit: (context) => {
      const { e } = context;
      const x = context.batchLast(input);
      const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
      const after = geometry.from.map((_, axis) => Math.max(0, missingBehind(geometry, axis)));
      // ceil_mode: windows may reach beyond the padding, which then does not count; this padding reaches as far and the
      // counts below are those of the model.
      const sums = e.emit(
        'AveragePool',
        [e.reshape(x, [1, channels, ...geometry.from, batch])],
        {
          kernel_shape: ints([...geometry.kernel, 1]),
          strides: ints([...geometry.strides, 1]),
          pads: ints([...geometry.before, 0, ...after, 0]),
          count_include_pad: int(1),
          ...(geometry.dilations.some((dilation) => dilation !== 1)
            ? { dilations: ints([...geometry.dilations, 1]) }
            : {}),
        },
        { name: node.id },
      );
      const weights = e.floats(windowWeights(geometry, node.ints('pads'), countsPadding), [1, ...geometry.to, 1]);
      const plain = e.reshape(sums, [channels, ...geometry.to, batch]);
      const isEven = e.typeOf(weights).constant?.every((weight) => weight === 1) === true;
      const y = isEven ? plain : e.mul(plain, weights);
      context.record({
        inputs: [x],
        outputs: [y],
        label: node.label,
        backward: ([gradient]) => {
          const dy = e.scale(e.expandLike(unscaled(e, gradient!), y), 1 / geometry.taps);
          const shares = isEven ? dy : e.mul(dy, weights);
          const [from, to] = [sizeOf(geometry.from), sizeOf(geometry.to)];
          const taps = gatherTaps(e, e.reshape(shares, [channels, to, batch]), adjointTable(geometry));
          const summed = e.reduceSum(e.reshape(taps, [channels, geometry.taps, from, batch]), [1], false);
          return [{ value: e.reshapeLike(summed, x) }];
        },
      });
      context.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};

function missingBehind({ from, to, kernel, strides, dilations, before }: Geometry, axis: number): number {
  const reach = (to[axis]! - 1) * strides[axis]! + dilations[axis]! * (kernel[axis]! - 1) + 1;
  return reach - from[axis]! - before[axis]!;
}

/** taps / (elements that count) of each window. */
function windowWeights(geometry: Geometry, pads: readonly number[] | undefined, countsPadding: boolean): Float32Array {
  const { from, to, kernel, strides, dilations, before, taps } = geometry;
  const counts = from.map((length, axis) => {
    const end =
      length + (countsPadding ? (pads?.[from.length + axis] ?? Math.max(0, missingBehind(geometry, axis))) : 0);
    const start = countsPadding ? -before[axis]! : 0;
    return Array.from({ length: to[axis]! }, (_, o) => {
      let count = 0;
      for (let tap = 0; tap < kernel[axis]!; tap++) {
        const at = o * strides[axis]! + tap * dilations[axis]! - before[axis]!;
        if (at >= start && at < end) count++;
      }
      return count;
    });
  });
  const weights = counts.reduce<number[]>((all, axis) => all.flatMap((a) => axis.map((b) => a * b)), [1]);
  return Float32Array.from(weights, (count) => taps / count);
}
