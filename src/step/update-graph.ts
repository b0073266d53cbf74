import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import { FLOAT, INT64 } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';
import { addInput, addOutput, emitted, type EmittedGraph, startGraph } from './emitted.js';
import { lengthOf } from './flat.js';
import { optimizers } from './optimizers.js';
import { frobeniusGradients } from './pairs.js';
import { type Parameter, type Prepared, trainingOpset } from './prepare.js';
import type { GraphSettings } from './settings.js';

/** Names of the update graph's inputs and outputs. */
export interface UpdateInterface {
  readonly inputs: {
    readonly parameters: string;
    readonly gradient: string;
    readonly state: string;
    readonly learningRate: string;
    readonly step: string;
  };
  readonly outputs: { readonly parameters: string; readonly state: string; readonly gradientNorm: string };
}

export interface UpdateGraph extends EmittedGraph {
  readonly interface: UpdateInterface;
  /** Elements of the optimizer's state, which starts as zeros. */
  readonly stateLength: number;
}

/**
 * Emits the update graph: parameters [P], gradient [P] of the loss, state, learningRate (float32 scalar) and step (int64
 * scalar, from 1) → parameters′, state′, gradientNorm (float32 scalar, of the gradient as it comes).
 * In order: clipping by the global norm (times min(1, clip / (norm + 1e-6))), Frobenius decay of pairs, weight decay, the
 * optimizer's step.
 */
export function buildUpdateGraph(
  prepared: Pick<Prepared, 'parameters' | 'pairs'>,
  settings: GraphSettings,
): UpdateGraph {
  const { parameters } = prepared;
  const { model, e } = startGraph('update', new Map([['', trainingOpset]]), false);
  const length = lengthOf(parameters);
  const optimizer = optimizers[settings.optimizer];
  const stateLength = optimizer.buffers(settings) * length;
  const weights = addInput(e, 'parameters', FLOAT, [length]);
  const loss = addInput(e, 'gradient', FLOAT, [length]);
  const state = addInput(e, 'state', FLOAT, [stateLength]);
  const learningRate = addInput(e, 'learningRate', FLOAT, []);
  const step = addInput(e, 'step', INT64, []);

  const squares = e.emit('ReduceSum', [e.mul(loss, loss)], { keepdims: int(0) });
  const norm = e.emit('Sqrt', [squares], {}, { name: 'gradientNorm' });
  let gradient = loss;
  if (settings.clip !== null) {
    const ratio = e.div(e.scalar(settings.clip), e.add(norm, e.scalar(1e-6)));
    gradient = e.mul(gradient, e.emit('Min', [ratio, e.scalar(1)]));
  }
  if (settings.frobeniusDecay > 0 && prepared.pairs.length > 0) {
    gradient = e.add(gradient, frobenius(e, prepared, weights, settings.frobeniusDecay));
  }
  const mask = decayMask(e, parameters, settings.weightDecay);
  const result = optimizer.emit({ e, settings, weights, gradient, state, learningRate, step, mask, length });
  const outputs = [result.weights, result.state, norm];
  for (const value of outputs) addOutput(e, value);
  return {
    ...emitted(model),
    stateLength,
    interface: {
      inputs: {
        parameters: weights.name,
        gradient: loss.name,
        state: state.name,
        learningRate: learningRate.name,
        step: step.name,
      },
      outputs: { parameters: result.weights.name, state: result.state.name, gradientNorm: norm.name },
    },
  };
}

/** weightDecay where a parameter is decayed, else 0, [P]; undefined where nothing is. Written as runs of equal numbers. */
function decayMask(e: Emitter, parameters: readonly Parameter[], weightDecay: number): Value | undefined {
  if (weightDecay === 0 || !parameters.some(({ decay }) => decay)) return undefined;
  const runs: { decay: boolean; size: number }[] = [];
  for (const { decay, size } of parameters) {
    const last = runs.at(-1);
    if (last?.decay === decay) last.size += size;
    else runs.push({ decay, size });
  }
  if (runs.length === 1) return e.scalar(weightDecay);
  const parts = runs.map(({ decay, size }) => e.emit('Expand', [e.floats([decay ? weightDecay : 0]), e.ints([size])]));
  return e.concat(parts, 0);
}

/** λ ∂(½‖U V‖²)/∂factor for every pair, 0 elsewhere, [P]. */
function frobenius(
  e: Emitter,
  { parameters, pairs }: Pick<Prepared, 'parameters' | 'pairs'>,
  weights: Value,
  lambda: number,
): Value {
  const tensors = new Map<Value, Value>();
  const slotOf = (value: Value): Parameter => parameters.find((parameter) => parameter.value === value)!;
  const weightOf = (value: Value): Value => {
    const { offset, size, shape } = slotOf(value);
    return e.reshape(e.slice(weights, [offset], [offset + size], [0]), shape);
  };
  for (const pair of pairs) {
    const { u, v } = frobeniusGradients(e, pair, weightOf(pair.u), weightOf(pair.v), lambda);
    tensors.set(pair.u, e.reshape(u, [-1]));
    tensors.set(pair.v, e.reshape(v, [-1]));
  }
  const parts: Value[] = [];
  let zeros = 0;
  const flush = (): void => {
    if (zeros > 0) parts.push(e.emit('Expand', [e.floats([0]), e.ints([zeros])]));
    zeros = 0;
  };
  for (const { value, size } of parameters) {
    const part = tensors.get(value);
    if (part === undefined) {
      zeros += size;
      continue;
    }
    flush();
    parts.push(part);
  }
  flush();
  return e.concat(parts, 0);
}
