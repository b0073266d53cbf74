import * as operators from '../../../src/ops/index.js';
import type { Operator } from '../../../src/ops/operator.js';

/** All operators with rules. */
export const allOperators: readonly Operator[] = Object.values(operators);
