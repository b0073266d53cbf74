import { float, int, ints } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Matrix } from '../../linalg/types.js';
import type { Emitter } from '../../ops/emitter.js';
import { fillNormal, fillWords, randomStream } from '../../random.js';
import type { RuntimeTensor } from '../../runtime/types.js';

/** The inputs of a batch, [batch, width], and what the layer is to give for them where that is known already. */
export interface Samples {
  readonly inputs: Value;
  /** [batch, neurons], behind the activation. Default: what the original weight gives for `inputs`. */
  readonly targets?: Value;
}

export interface SampleContext {
  /** int64 scalar, from 0: the step. */
  readonly step: Value;
  readonly batch: number;
  /** Entries of the input of one neuron: rowsPerNeuron · cols. */
  readonly width: number;
  /** A value of `tensors` in the body of the loop. */
  readonly outer: (name: string) => Value;
}

/** A tensor that batches are taken from. */
export interface SampleTensor extends RuntimeTensor {
  readonly type: 'float32' | 'int64';
}

/** A batch in JavaScript's memory, as `Samples`. */
export interface DrawnSamples {
  readonly inputs: Float32Array;
  readonly targets?: Float32Array;
}

/** Where the inputs of a sampled fit come from. */
export interface SampleSource {
  /** What the loop reads beside the weights: fed once, the same for all steps. */
  readonly tensors: Readonly<Record<string, SampleTensor>>;
  /** Emits the batch of a step in the body of the loop. */
  emit(e: Emitter, context: SampleContext): Samples;
  /** The batch of step `step`, from 0, for an engine that runs no ONNX graphs. */
  draw(step: number, batch: number, width: number): DrawnSamples;
}

/** onnxruntime keeps a seed as a float32 and takes it as a whole number: 24 bits of it differ. */
const largestSeed = 2 ** 24;

/**
 * x ~ N(0, I), drawn anew for every step; the same for the same seed and name. What is drawn in JavaScript is the same on
 * every backend, but other numbers than those of onnxruntime, whose generator is its own.
 */
export function gaussianSource(seed: number, name: string): SampleSource {
  const stream = randomStream(seed, `samples ${name}`);
  const word = new Int32Array(1);
  fillWords(stream, word);
  const attribute = float((word[0]! >>> 0) % largestSeed);
  return {
    tensors: {},
    emit: (e, { batch, width }) => ({
      inputs: e.emit('RandomNormal', [], { shape: ints([batch, width]), seed: attribute }),
    }),
    draw: (step, batch, width) => {
      const inputs = new Float32Array(batch * width);
      // From an even position on, as pairs are.
      fillNormal(stream, inputs, step * 2 * Math.ceil(inputs.length / 2));
      return { inputs };
    },
  };
}

/**
 * Rows of a matrix of real inputs, [count, width]; `order` names the row of every sample, `batch` of them for each step.
 * `targets`, [count, neurons], are what the layer is to give behind its activation, where that is not what the original
 * weight gives.
 */
export function rowSource(rows: Matrix, order: BigInt64Array, targets?: Matrix): SampleSource {
  const tensor = ({ rows: count, cols, data }: Matrix): SampleTensor => ({
    type: 'float32',
    dims: [count, cols],
    data,
  });
  const order64: SampleTensor = { type: 'int64', dims: [order.length], data: order };
  return {
    tensors: {
      rows: tensor(rows),
      order: order64,
      ...(targets === undefined ? {} : { targets: tensor(targets) }),
    },
    emit: (e, { step, batch, outer }) => {
      const start = e.emit('Mul', [step, e.ints([batch], [])]);
      const first = e.unsqueeze(start, [0]);
      const places = e.emit('Add', [first, e.ints(Array.from({ length: batch }, (_, i) => i))]);
      const chosen = e.emit('Gather', [outer('order'), places], { axis: int(0) });
      const pick = (name: string): Value => e.emit('Gather', [outer(name), chosen], { axis: int(0) });
      return { inputs: pick('rows'), ...(targets === undefined ? {} : { targets: pick('targets') }) };
    },
    draw: (step, batch) => {
      const chosen = order.subarray(step * batch, (step + 1) * batch);
      return {
        inputs: pickRows(rows, chosen),
        ...(targets === undefined ? {} : { targets: pickRows(targets, chosen) }),
      };
    },
  };
}

function pickRows({ cols, data }: Matrix, chosen: BigInt64Array): Float32Array {
  const picked = new Float32Array(chosen.length * cols);
  for (const [place, row] of chosen.entries()) {
    const from = Number(row) * cols;
    picked.set(data.subarray(from, from + cols), place * cols);
  }
  return picked;
}
