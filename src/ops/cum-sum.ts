import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** Running sums along an axis (ai.onnx 11). */
export const cumSum: Operator = { opType: 'CumSum', domain: '', infer: likeFirstInput };
