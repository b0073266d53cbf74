import type { Pass } from './runner.js';
import { spellOutAttention } from './spell-out-attention.js';
import { spellOutFused } from './spell-out-fused.js';
import { spellOutMultiHeadAttention } from './spell-out-multi-head-attention.js';
import { spellOutNormalization } from './spell-out-normalization.js';
import { spellOutProjections } from './spell-out-projections.js';

/** What has no gradient of its own becomes what it stands for, in this order. For ai.onnx 13 and later. */
export const spellOut: readonly Pass[] = [
  spellOutNormalization,
  spellOutFused,
  spellOutProjections,
  spellOutAttention,
  spellOutMultiHeadAttention,
];
