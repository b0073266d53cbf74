import type { Operator } from './operator.js';
import { inferPool } from './support/pool.js';

/** The mean of each window (ai.onnx 7, 10, 11, 19, 22). */
export const averagePool: Operator = { opType: 'AveragePool', domain: '', infer: inferPool };
