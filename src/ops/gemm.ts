import type { Value } from '../graph/value.js';
import { rule } from './gradient.js';
import type { InferenceContext, Known, Operator, TensorType } from './operator.js';
import { requireUnidirectional } from './support/elementwise.js';
import { input, known } from './support/known.js';
import { sizeOf } from './support/layout.js';
import { gemmDims } from './support/matmul.js';

export function inferGemm(context: InferenceContext): Known[] {
  const { node, inputs } = context;
  const a = input(context, 0);
  const { m, n } = gemmDims(a.dims, input(context, 1).dims, node.int('transA', 0) !== 0, node.int('transB', 0) !== 0);
  if (inputs[2] !== undefined) requireUnidirectional(inputs[2].dims, [m, n]);
  return [known(a.dataType, [m, n])];
}

/** M · N · K, where M · K is the size of A and N that of the result's rows. */
export function gemmMacs(a: TensorType | undefined, y: TensorType | undefined): number {
  return a === undefined || y === undefined ? 0 : sizeOf(a.dims) * y.dims[1]!;
}

/**
 * y = α·A′·B′ + β·C, A′ and B′ transposed if asked (ai.onnx 7, 9, 11, 13). Multiply-accumulates: M · N · K.
 * dA′ = α·dy·B′ᵀ, dB′ = α·A′ᵀ·dy, dC = β·dy summed to the shape of C.
 */
export const gemm: Operator = {
  opType: 'Gemm',
  domain: '',
  infer: inferGemm,
  macs: (_, inputs, outputs) => gemmMacs(inputs[0], outputs[0]),
  gradient: rule(({ e, node, inputs: [a, b, c], gradients: [dy], needs }) => {
    const [transA, transB] = [node.int('transA', 0) !== 0, node.int('transB', 0) !== 0];
    const alpha = node.float('alpha', 1);
    const da = (): Value =>
      transA ? e.gemm(b!, dy!, { transA: transB, transB: true, alpha }) : e.gemm(dy!, b!, { transB: !transB, alpha });
    const db = (): Value =>
      transB ? e.gemm(dy!, a!, { transA: true, transB: transA, alpha }) : e.gemm(a!, dy!, { transA: !transA, alpha });
    return [
      needs[0] === true ? da() : undefined,
      needs[1] === true ? db() : undefined,
      needs[2] === true ? e.scale(e.sumTo(dy!, c!), node.float('beta', 1)) : undefined,
    ];
  }),
};
