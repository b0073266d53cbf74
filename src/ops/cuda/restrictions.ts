import type { Node } from '../../graph/node.js';
import { STRING } from '../../onnx/data-type.js';

/** Why the CUDA provider leaves a node to the CPU, or refuses it, although it has a kernel; undefined where it takes it. */
export type Restriction = (node: Node) => string | undefined;

/** `ConvTransposeNeedFallbackToCPU` in onnxruntime/core/providers/cuda/cuda_execution_provider.cc. */
const convTranspose: Restriction = (node) => {
  const pads = node.ints('pads') ?? [];
  const half = pads.length / 2;
  if (node.string('auto_pad', 'NOTSET').startsWith('SAME')) return 'cuDNN has no auto_pad SAME';
  return pads.slice(0, half).every((pad, i) => pad === pads[i + half]) ? undefined : 'cuDNN pads both ends alike';
};

/** `ArgMaxOrArgMinNeedFallbackToCPU`, the same file. */
const firstOfEqual: Restriction = (node) =>
  node.int('select_last_index', 0) === 0 ? undefined : 'it has no kernel on CUDA with select_last_index';

/** `BatchNorm` in nn/batch_norm.h: "Training mode does not support BN opset 14 (or higher) yet", when a session is made. */
const batchNormalization: Restriction = (node) =>
  node.int('training_mode', 0) === 0 ? undefined : 'it has no training form on CUDA';

/** `CastNeedFallbackToCPU`, of cuda_execution_provider.cc. */
const cast: Restriction = (node) => (node.int('to', 0) === STRING ? 'there are no texts on CUDA' : undefined);

const restrictions: Readonly<Record<string, Restriction>> = {
  ArgMax: firstOfEqual,
  ArgMin: firstOfEqual,
  BatchNormalization: batchNormalization,
  Cast: cast,
  ConvTranspose: convTranspose,
};

export function restrictionOf(node: Node): string | undefined {
  return node.domain === '' ? restrictions[node.opType]?.(node) : undefined;
}
