import { globalPool } from './support/pool.js';

/** The mean of each channel (ai.onnx 1). */
export const globalAveragePool = globalPool('GlobalAveragePool');
