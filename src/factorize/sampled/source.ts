import { float, ints } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { fillNormal, fillWords, randomStream } from '../../random.js';
import type { RuntimeTensor } from '../../runtime/types.js';

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

/** Where the inputs of a sampled fit come from. */
export interface SampleSource {
  /** What the loop reads beside the weights: fed once, the same for all steps. */
  readonly tensors: Readonly<Record<string, SampleTensor>>;
  /** Emits the batch of a step, [batch, width], in the body of the loop. */
  emit(e: Emitter, context: SampleContext): Value;
  /** The batch of step `step`, from 0, for an engine that runs no ONNX graphs. */
  draw(step: number, batch: number, width: number): Float32Array;
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
    emit: (e, { batch, width }) => e.emit('RandomNormal', [], { shape: ints([batch, width]), seed: attribute }),
    draw: (step, batch, width) => {
      const inputs = new Float32Array(batch * width);
      // From an even position on, as pairs are.
      fillNormal(stream, inputs, step * 2 * Math.ceil(inputs.length / 2));
      return inputs;
    },
  };
}
