import { globalPool } from './support/pool.js';

/** The p-norm of each channel (ai.onnx 1). */
export const globalLpPool = globalPool('GlobalLpPool');
