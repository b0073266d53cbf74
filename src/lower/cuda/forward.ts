import { copyForwardWith } from '../../autodiff/copy-forward.js';
import type { BuildForward } from '../../autodiff/forward.js';
import { batchNormalizationByRows } from './batch-normalization.js';
import { depthwiseByProducts } from './depthwise.js';
import { reluBySelection } from './relu.js';

/**
 * The forward pass for onnxruntime's CUDA provider, in the model's own layout. A training step is bound by what it reads and
 * writes there, so what differs from the portable form reads and writes less.
 */
export const cudaForward: BuildForward = copyForwardWith({
  BatchNormalization: batchNormalizationByRows,
  Conv: depthwiseByProducts,
  Relu: reluBySelection,
});
