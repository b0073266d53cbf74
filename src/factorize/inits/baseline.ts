import type { Matrix } from '../../linalg/types.js';
import { fillTruncatedNormal, randomStream, truncatedDeviation } from '../../random.js';
import type { Init } from '../types.js';

/**
 * The distribution of full-rank weights applied to both factors, whatever the weight is: truncated normal with standard
 * deviation 1/√(fan-in) and nothing beyond two deviations of the normal it is cut from. The fan-in of `right` is its
 * columns; that of `left`, rank · rowsPerNeuron (in the spatial scheme a kh × 1 kernel over `rank` channels).
 */
export const baseline: Init = {
  name: 'baseline',
  summary: 'fresh truncated-normal factors, as if both were layers of their own',
  fit: ({ weight, rowsPerNeuron, rank, seed }) =>
    Promise.resolve({
      left: draw('left', weight.rows, rank, rank * rowsPerNeuron, seed),
      right: draw('right', rank, weight.cols, weight.cols, seed),
    }),
};

function draw(name: string, rows: number, cols: number, fanIn: number, seed: number): Matrix {
  const data = new Float32Array(rows * cols);
  const scale = 1 / (truncatedDeviation * Math.sqrt(fanIn));
  fillTruncatedNormal(randomStream(seed, `baseline ${name}`), data, 0, scale);
  return { rows, cols, data };
}
