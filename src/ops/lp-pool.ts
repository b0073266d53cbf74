import type { Operator } from './operator.js';
import { inferPool } from './support/pool.js';

/** The p-norm of each window (ai.onnx 2, 11, 18, 22). */
export const lpPool: Operator = { opType: 'LpPool', domain: '', infer: inferPool };
