import type { Node } from '../../graph/node.js';
import { STRING } from '../../onnx/data-type.js';

/** What a CUDA session is told. */
export interface CudaSession {
  /** `prefer_nhwc`: convolutions and pools with the channels last. */
  readonly nhwc?: boolean;
}

/** Why the CUDA provider leaves a node to the CPU, or refuses it, although it has a kernel; undefined where it takes it. */
type Restriction = (node: Node, session: CudaSession) => string | undefined;

/**
 * `ConvTransposeNeedFallbackToCPU` in onnxruntime/core/providers/cuda/cuda_execution_provider.cc. That weights must be
 * constant with `prefer_nhwc` was found by asking the library of 1.30.0 (`scripts/cuda-kernels.py place --nhwc`).
 */
const convTranspose: Restriction = (node, { nhwc = false }) => {
  if (nhwc && node.inputs[1]?.tensor === undefined) return 'with the channels last its weight must be a constant';
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

export function restrictionOf(node: Node, session: CudaSession): string | undefined {
  return node.domain === '' ? restrictions[node.opType]?.(node, session) : undefined;
}
