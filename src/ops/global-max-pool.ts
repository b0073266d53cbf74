import { globalPool } from './support/pool.js';

/** The largest element of each channel (ai.onnx 1). */
export const globalMaxPool = globalPool('GlobalMaxPool');
