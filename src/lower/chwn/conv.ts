import { gatherFirst } from './conv-gather-first.js';
import { gatherLast } from './conv-gather-last.js';
import type { LoweringRule } from './rule.js';
import { convGeometry, isPointwise } from './window.js';

/**
 * Conv of one group as a product of matrices. The work per tap is done where there are fewer channels: on the input
 * (gather, then multiply), or on the output (multiply, then gather and add).
 */
export const conv: LoweringRule = (node, { dims }) => {
  const [x, weight, bias] = node.inputs;
  if (!node.is('Conv') || x === undefined || weight === undefined || node.int('group', 1) !== 1) return undefined;
  const [outputs, inputs, ...kernel] = dims(weight) as [number, number, ...number[]];
  const geometry = convGeometry(node, kernel, dims(x).slice(2));
  const emit = outputs < inputs && !isPointwise(geometry) ? gatherLast : gatherFirst;
  return {
    emit: (context) => {
      const y = emit(context, {
        x: context.batchLast(x),
        weight: context.inModel(weight),
        bias: bias === undefined ? undefined : context.inModel(bias),
        geometry,
        label: node.label,
      });
      context.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};
