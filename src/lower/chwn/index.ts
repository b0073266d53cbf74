import { add } from './add.js';
import { averagePool } from './average-pool.js';
import { batchNormalization } from './batch-normalization.js';
import { conv } from './conv.js';
import { depthwise } from './depthwise.js';
import { dropPath } from './drop-path.js';
import { elementwise } from './elementwise.js';
import { gemm } from './gemm.js';
import { maxPool } from './max-pool.js';
import { normalizedConv } from './normalized-conv.js';
import { relu } from './relu.js';
import { reshape } from './reshape.js';
import type { LoweringRule } from './rule.js';
import { silu } from './silu.js';
import { spatialMean } from './spatial-mean.js';

/** In the order in which they are tried. */
export const rules: readonly LoweringRule[] = [
  normalizedConv,
  conv,
  depthwise,
  batchNormalization,
  maxPool,
  averagePool,
  spatialMean,
  reshape,
  gemm,
  relu,
  silu,
  add,
  dropPath,
  elementwise,
];
