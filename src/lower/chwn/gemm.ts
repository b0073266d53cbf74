import type { LoweringRule } from './rule.js';
import { whole } from './gradient.js';
import { perChannel } from './conv-parts.js';

/**
 * Gemm and MatMul of activations [N, I] with a matrix, as Y = W·X of [I, N]; Gemm's C is a vector of one number per output,
 * or one for all.
 */
export const gemm: LoweringRule = (node, { dims }) => {
  const [input, weight, bias] = node.inputs;
  const isGemm = node.is('Gemm');
  if (!isGemm && !node.is('MatMul')) return undefined;
  if (input === undefined || weight === undefined || node.int('transA', 0) !== 0) return undefined;
  if (dims(input).length !== 2 || dims(weight).length !== 2) return undefined;
  if (bias !== undefined && (dims(bias).length > 1 || node.float('beta', 1) !== 1)) return undefined;
  const isTransposed = isGemm && node.int('transB', 0) !== 0;
  const alpha = isGemm ? node.float('alpha', 1) : 1;
  return {
    emit: (context) => {
      const { e } = context;
      const x = context.batchLast(input);
      const w = context.inModel(weight);
      const b = bias === undefined ? undefined : context.inModel(bias);
      const product = e.gemm(w, x, { transA: !isTransposed, alpha });
      const y = b === undefined ? product : e.add(product, e.rank(b) === 0 ? b : perChannel(e, b, product));
      context.record({
        inputs: [x, w, b],
        outputs: [y],
        label: node.label,
        backward: ([gradient], needs) => {
          const dy = whole(e, gradient!, y);
          return [
            needs[0] === true ? { value: e.gemm(w, dy, { transA: isTransposed, alpha }) } : undefined,
            needs[1] === true
              ? {
                  value: isTransposed ? e.gemm(dy, x, { transB: true, alpha }) : e.gemm(x, dy, { transB: true, alpha }),
                }
              : undefined,
            needs[2] === true ? { value: biasOf(dy) } : undefined,
          ];
        },
      });
      const biasOf = (dy: typeof y): typeof y => e.reshapeLike(e.sumTo(dy, biasLike(e.rank(b!) === 0)), b!);
      const biasLike = (isScalar: boolean): typeof y => (isScalar ? b! : perChannel(e, b!, y));
      context.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};
