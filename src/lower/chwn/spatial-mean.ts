import type { Node } from '../../graph/node.js';
import { normalizeAxis, sizeOf } from '../../ops/support/layout.js';
import type { LoweringRule, MatchContext } from './rule.js';

/**
 * GlobalAveragePool, and ReduceMean over all spatial axes: the mean over the positions of each channel. The gradient is
 * constant there and stays unexpanded, to be broadcast by what reads it.
 */
export const spatialMean: LoweringRule = (node, context) => {
  const [input] = node.inputs;
  if (input === undefined) return undefined;
  const rank = context.dims(input).length;
  if (rank < 3 || !isSpatialMean(node, rank, context)) return undefined;
  return {
    emit: (at) => {
      const { e } = at;
      const x = at.batchLast(input);
      const [channels, ...rest] = e.dims(x) as [number, ...number[]];
      const batch = rest.pop()!;
      const positions = sizeOf(rest);
      const mean = e.reduceMean(e.reshape(x, [channels, positions, batch]), [1], false);
      const [, outChannels, ...kept] = at.dims(node.outputs[0]!);
      const y = e.reshape(mean, [outChannels!, ...kept, batch]);
      at.record({
        inputs: [x],
        outputs: [y],
        label: node.label,
        backward: ([gradient]) => {
          const value = e.reshape(e.expandLike(gradient!.value, y), [channels, ...rest.map(() => 1), batch]);
          return [{ value: e.scale(value, 1 / positions), scale: gradient!.scale }];
        },
      });
      at.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};

function isSpatialMean(node: Node, rank: number, { source }: MatchContext): boolean {
  if (node.is('GlobalAveragePool')) return true;
  if (!node.is('ReduceMean')) return false;
  const second = node.inputs[1];
  const given = node.ints('axes') ?? (second === undefined ? undefined : source.shapes.constantOf(second));
  if (given?.length !== rank - 2) return false;
  const axes = new Set(given.map((axis) => normalizeAxis(axis, rank)));
  return axes.size === rank - 2 && !axes.has(0) && !axes.has(1);
}
