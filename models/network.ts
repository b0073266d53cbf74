import type { Attribute } from '../src/graph/attribute.js';
import { Graph } from '../src/graph/graph.js';
import type { Value } from '../src/graph/value.js';
import { FLOAT } from '../src/onnx/data-type.js';
import { constant, truncatedNormal } from './weights.js';

/** A value of the network under construction: [batch, channels, side, side], or [batch, channels] behind `flatten`. */
export interface Feature {
  readonly value: Value;
  readonly channels: number;
  readonly side: number;
  /**
   * E[x²] of its elements in the fresh network, as the initialization assumes it: 1 for images, the square of `scale`
   * behind a convolution, the sum behind an addition, E[f(z)²] with z ~ N(0, 1) behind an activation f.
   */
  readonly meanSquare: number;
}

export interface ConvOptions {
  readonly out: number;
  readonly kernel: number;
  readonly stride?: number;
  /** On each side; default (kernel − 1) / 2. */
  readonly padding?: number;
  readonly group?: number;
  readonly bias?: boolean;
  /** Factor on the standard deviation of the weight; default 1. */
  readonly scale?: number;
}

export interface PoolOptions {
  readonly kernel: number;
  readonly stride: number;
  readonly padding?: number;
}

export interface BatchNormOptions {
  readonly epsilon: number;
  /** Weight of the old running statistics in a training step, as ONNX counts it (PyTorch's is 1 − this). */
  readonly momentum: number;
}

/** E[f(z)²], z ~ N(0, 1), by numerical integration where there is no closed form. */
const meanSquares = { relu: 0.5, silu: 0.3557755198173522, tanh: 0.3942944903978412 };

const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value });
const int = (value: number): Attribute => ({ type: 'int', value });
const float = (value: number): Attribute => ({ type: 'float', value });

/** Height or width behind a window. */
function slide(side: number, kernel: number, stride: number, padding: number): number {
  return Math.floor((side + 2 * padding - kernel) / stride) + 1;
}

/**
 * Emits a network node by node, with fresh weights. Modules are given by their paths in the PyTorch model
 * ("layer1.0.conv1"); initializers, nodes and values get the names that PyTorch's exporter gives them.
 *
 * A weight is truncated normal with variance scale² / (fan-in · E[x²]) of what it reads, so that what it writes has
 * E[y²] = scale²; He et al. (arXiv 1502.01852) is the case of ReLU. With scale 1, BatchNormalization's initial statistics,
 * mean 0 and variance 1, are then close to the true ones, and the fresh network computes something sane at any depth.
 * Biases are 0.
 */
export class Network {
  readonly graph = new Graph('main_graph');
  readonly #seed: number;
  readonly #calls = new Map<string, number>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  input(channels: number, side: number): Feature {
    const value = this.graph.addInput('input', { dataType: FLOAT, dims: ['batch', channels, side, side] });
    return { value, channels, side, meanSquare: 1 };
  }

  /** Weight [out, channels / group, kernel, kernel]. */
  conv(x: Feature, path: string, options: ConvOptions): Feature {
    const { out, kernel, stride = 1, padding = (kernel - 1) / 2, group = 1, scale = 1 } = options;
    const fanIn = (x.channels / group) * kernel * kernel;
    const deviation = scale / Math.sqrt(fanIn * x.meanSquare);
    const weight = this.#weight(`${path}.weight`, [out, x.channels / group, kernel, kernel], deviation);
    const inputs =
      options.bias === true ? [x.value, weight, this.#constant(`${path}.bias`, out, 0)] : [x.value, weight];
    const value = this.#emit('Conv', this.#scope(path), inputs, {
      dilations: ints([1, 1]),
      group: int(group),
      kernel_shape: ints([kernel, kernel]),
      pads: ints([padding, padding, padding, padding]),
      strides: ints([stride, stride]),
    });
    return { value, channels: out, side: slide(x.side, kernel, stride, padding), meanSquare: scale * scale };
  }

  /** Inference form: scale 1, bias 0, mean 0, variance 1, each a tensor of its own. */
  batchNorm(x: Feature, path: string, { epsilon, momentum }: BatchNormOptions): Feature {
    const tensors = [
      this.#constant(`${path}.weight`, x.channels, 1),
      this.#constant(`${path}.bias`, x.channels, 0),
      this.#constant(`${path}.running_mean`, x.channels, 0),
      this.#constant(`${path}.running_var`, x.channels, 1),
    ];
    const value = this.#emit('BatchNormalization', this.#scope(path), [x.value, ...tensors], {
      epsilon: float(epsilon),
      momentum: float(momentum),
      training_mode: int(0),
    });
    return { ...x, value };
  }

  relu(x: Feature, path: string): Feature {
    return { ...x, value: this.#emit('Relu', this.#scope(path), [x.value]), meanSquare: meanSquares.relu };
  }

  tanh(x: Feature, path: string): Feature {
    return { ...x, value: this.#emit('Tanh', this.#scope(path), [x.value]), meanSquare: meanSquares.tanh };
  }

  /** x · sigmoid(x), called swish in the EfficientNet paper: Sigmoid and Mul, as exporters write it. */
  silu(x: Feature, path: string): Feature {
    const scope = this.#scope(path);
    const gate = this.#emit('Sigmoid', scope, [x.value]);
    return { ...x, value: this.#emit('Mul', scope, [x.value, gate]), meanSquare: meanSquares.silu };
  }

  sigmoid(x: Feature, path: string): Feature {
    return { ...x, value: this.#emit('Sigmoid', this.#scope(path), [x.value]) };
  }

  /** E[x²] is taken over: overlapping windows raise it by a small factor. */
  maxPool(x: Feature, path: string, { kernel, stride, padding = 0 }: PoolOptions): Feature {
    const value = this.#emit('MaxPool', this.#scope(path), [x.value], {
      ceil_mode: int(0),
      dilations: ints([1, 1]),
      kernel_shape: ints([kernel, kernel]),
      pads: ints([padding, padding, padding, padding]),
      strides: ints([stride, stride]),
    });
    return { ...x, value, side: slide(x.side, kernel, stride, padding) };
  }

  averagePool(x: Feature, path: string, { kernel, stride }: PoolOptions): Feature {
    const value = this.#emit('AveragePool', this.#scope(path), [x.value], {
      ceil_mode: int(0),
      count_include_pad: int(1),
      kernel_shape: ints([kernel, kernel]),
      pads: ints([0, 0, 0, 0]),
      strides: ints([stride, stride]),
    });
    return { ...x, value, side: slide(x.side, kernel, stride, 0) };
  }

  /**
   * How far a mean over the image lies below E[x²] depends on the images, so the layer behind gets the plain standard
   * deviation 1/√fan-in: E[x²] counts as 1.
   */
  globalAveragePool(x: Feature, path: string): Feature {
    return { ...x, value: this.#emit('GlobalAveragePool', this.#scope(path), [x.value]), side: 1, meanSquare: 1 };
  }

  /** `x` + `branch`, in module `path` itself. */
  add(x: Feature, branch: Feature, path: string): Feature {
    const value = this.#emit('Add', this.#scope(path), [branch.value, x.value]);
    return { ...x, value, meanSquare: x.meanSquare + branch.meanSquare };
  }

  /** `x` times a gate of [batch, channels, 1, 1] that is near 1/2 in a fresh network. */
  gate(x: Feature, gate: Feature, path: string): Feature {
    const value = this.#emit('Mul', this.#scope(path), [gate.value, x.value]);
    return { ...x, value, meanSquare: x.meanSquare / 4 };
  }

  flatten(x: Feature): Feature {
    const value = this.#emit('Flatten', '', [x.value], { axis: int(1) });
    return { ...x, value, channels: x.channels * x.side * x.side, side: 1 };
  }

  /** Gemm with weight [out, channels]. */
  linear(x: Feature, path: string, out: number): Feature {
    return this.#gemm(x, path, out);
  }

  /** The last linear layer, whose result is the graph output `logits` of [batch, classes]. */
  classifier(x: Feature, path: string, classes: number): void {
    const { value } = this.#gemm(x, path, classes, 'logits');
    this.graph.addOutput(value, { dataType: FLOAT, dims: ['batch', classes] });
  }

  #gemm(x: Feature, path: string, out: number, name?: string): Feature {
    const weight = this.#weight(`${path}.weight`, [out, x.channels], 1 / Math.sqrt(x.channels * x.meanSquare));
    const bias = this.#constant(`${path}.bias`, out, 0);
    const attributes = { alpha: float(1), beta: float(1), transB: int(1) };
    const value = this.#emit('Gemm', this.#scope(path), [x.value, weight, bias], attributes, name);
    return { value, channels: out, side: 1, meanSquare: 1 };
  }

  #weight(name: string, dims: readonly number[], deviation: number): Value {
    return this.graph.addInitializer(truncatedNormal(name, dims, deviation, this.#seed));
  }

  #constant(name: string, size: number, value: number): Value {
    return this.graph.addInitializer(constant(name, [size], value));
  }

  #emit(
    opType: string,
    scope: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output?: string,
  ): Value {
    const name = `${scope}/${opType}`;
    const value = this.graph.addValue(output ?? `${name}_output_0`);
    this.graph.addNode({ opType, name, inputs, outputs: [value], attributes });
    return value;
  }

  /**
   * The exporter's scope of a module: "layer1.0.conv1" is /layer1/layer1.0/conv1, where numbers (children of a
   * Sequential) carry their parent's name along. A module that is called again gets _1, _2 …
   */
  #scope(path: string): string {
    let scope = '';
    let parent = '';
    for (const part of path === '' ? [] : path.split('.')) {
      parent = /^\d+$/.test(part) ? `${parent}.${part}` : part;
      scope += `/${parent}`;
    }
    const calls = this.#calls.get(scope) ?? 0;
    this.#calls.set(scope, calls + 1);
    return calls === 0 ? scope : `${scope}_${calls}`;
  }
}
