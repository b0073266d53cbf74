import type { LayerData, LayerSamples, Moments } from '../../../src/factorize/calibration/types.js';
import type { Activation } from '../../../src/rewrite/types.js';
import type { Matrix } from '../../../src/linalg/types.js';
import { normals } from './weights.js';

/** Patches of `size` numbers with unequal, correlated parts and a mean: rows of x = D z + c·z₀ + μ. */
export function patches(count: number, size: number, seed: number, rank = size): Matrix {
  const mix = normals(size * rank, seed, 'mix');
  const offset = normals(size, seed, 'offset');
  const data = new Float32Array(count * size);
  for (let row = 0; row < count; row++) {
    const z = normals(rank, seed, `patch ${row}`);
    for (let i = 0; i < size; i++) {
      let sum = offset[i]!;
      for (let k = 0; k < rank; k++) sum += (mix[i * rank + k]! * z[k]!) / (k + 1);
      data[row * size + i] = sum;
    }
  }
  return { rows: count, cols: size, data };
}

/** Straight from the definition. */
export function momentsOf({ rows, cols, data }: Matrix): Moments {
  const mean = new Float64Array(cols);
  const second = new Float64Array(cols * cols);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < cols; i++) {
      const x = data[row * cols + i]!;
      mean[i] = mean[i]! + x / rows;
      for (let j = 0; j < cols; j++) second[i * cols + j] = second[i * cols + j]! + (x * data[row * cols + j]!) / rows;
    }
  }
  return { count: rows, mean, second: { rows: cols, cols, data: second } };
}

/** What a layer without predecessors tells: σ's argument is Wx + bias in both models. */
export function samplesOf(
  weight: Matrix,
  rowsPerNeuron: number,
  inputs: Matrix,
  activation: Activation,
  options: { readonly scale?: number; readonly bias?: number } = {},
): LayerSamples {
  const { scale = 1, bias = 0.1 } = options;
  const neurons = weight.rows / rowsPerNeuron;
  const target = new Float32Array(inputs.rows * neurons);
  for (let row = 0; row < inputs.rows; row++) {
    for (let neuron = 0; neuron < neurons; neuron++) {
      let sum = 0;
      for (let i = 0; i < inputs.cols; i++) {
        sum += weight.data[neuron * inputs.cols + i]! * inputs.data[row * inputs.cols + i]!;
      }
      target[row * neurons + neuron] = scale * sum + bias;
    }
  }
  const outputs = { rows: inputs.rows, cols: neurons, data: target };
  return { inputs, current: outputs, target: outputs, scale: new Float64Array(neurons).fill(scale), activation };
}

/** Data for a layer whose inputs are `inputs`. */
export function layerData(weight: Matrix, rowsPerNeuron: number, inputs: Matrix, activation: Activation): LayerData {
  const moments = momentsOf(inputs);
  const samples = samplesOf(weight, rowsPerNeuron, inputs, activation);
  return { moments, hasBias: true, sequential: { moments, samples } };
}
