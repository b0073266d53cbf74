import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** The upper or lower triangle of the last two axes (ai.onnx 14). */
export const trilu: Operator = { opType: 'Trilu', domain: '', infer: likeFirstInput };
