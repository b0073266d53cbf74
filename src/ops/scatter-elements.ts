import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** x with `updates` at `indices` along an axis (ai.onnx 11). */
export const scatterElements: Operator = { opType: 'ScatterElements', domain: '', infer: likeFirstInput };
