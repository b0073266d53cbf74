import { adamStep } from '../../autodiff/adam-step.js';
import { differentiate } from '../../autodiff/differentiate.js';
import { int } from '../../graph/attributes.js';
import { bodyAttribute } from '../../graph/body-attribute.js';
import { Graph } from '../../graph/graph.js';
import type { Value } from '../../graph/value.js';
import { BOOL, FLOAT, INT64 } from '../../onnx/data-type.js';
import { Emitter } from '../../ops/emitter.js';
import type { ActivationForm } from './activation-form.js';
import { declareLayer, emitPair, emitTeacher, fitModel, type LayerSizes, opsetsFor } from './layer.js';
import type { SampleSource, SampleTensor } from './source.js';

export interface LoopPlan {
  readonly sizes: LayerSizes;
  readonly activation: ActivationForm;
  readonly source: SampleSource;
  readonly steps: number;
  readonly batch: number;
}

/** Kingma and Ba's values; they are no options: the learning rate and its schedule decide how a fit goes. */
export const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

const elementTypes: Record<SampleTensor['type'], number> = { float32: FLOAT, int64: INT64 };

/**
 * A model that fits a pair by sampling, all steps in one run: a Loop whose body draws inputs, runs the original layer and
 * the pair on them, differentiates mean ‖σ(Ŵx) − σ(Wx)‖² and takes a step of Adam.
 *
 * Inputs: those of `declareLayer` (the pair is the one to start from), rates [steps] and roots [steps] (`adamRateTables`), and
 * the tensors of the source. Outputs: fittedLeft, fittedRight, losses [steps] (of the batch that a step drew, before it).
 *
 * On a GPU the pair and its moments stay in its memory from the first step to the last, and a step takes the longer the more
 * operators it has: what is known before is not computed in the body.
 */
export function buildFitLoop({ sizes, activation, source, steps, batch }: LoopPlan): Uint8Array {
  const opsets = opsetsFor(activation);
  const graph = new Graph('fit');
  const e = new Emitter(graph, { opsets });
  const { teacher, left, right } = declareLayer(e, sizes);
  const outer = new Map<string, Value>([['teacher', teacher]]);
  const offer = (name: string, input: string, dims: readonly number[], dataType: number): void => {
    outer.set(name, e.declare(graph.addInput(input, { dataType, dims }), { dataType, dims }));
  };
  for (const table of ['rates', 'roots']) offer(table, table, [steps], FLOAT);
  for (const [name, { type, dims }] of Object.entries(source.tensors)) {
    offer(name, `sample.${name}`, dims, elementTypes[type]);
  }

  const body = new Graph('step');
  const b = new Emitter(body, { opsets, prefix: 'step.' });
  const carried = (name: string, dims: readonly number[], dataType = FLOAT): Value =>
    b.declare(body.addInput(`step.${name}`, { dataType, dims }), { dataType, dims });
  const captured = new Map<string, Value>();
  const fromOutside = (name: string): Value => {
    const value = outer.get(name)!;
    const known = captured.get(name) ?? b.declare(body.addValue(value.name), e.typeOf(value));
    captured.set(name, known);
    return known;
  };
  const step = carried('index', [], INT64);
  const goOn = carried('condition', [], BOOL);
  const u = carried('left', e.dims(left));
  const v = carried('right', e.dims(right));
  const moments = [u, v].map((value, i) => ({
    value,
    first: carried(`first${i}`, b.dims(value)),
    second: carried(`second${i}`, b.dims(value)),
  }));

  const width = sizes.rowsPerNeuron * sizes.cols;
  const inputs = source.emit(b, { step, batch, width, outer: fromOutside });
  const targets = emitTeacher(b, activation, inputs, fromOutside('teacher'));
  const first = body.nodes.length;
  const outputs = emitPair(b, { sizes, activation, batch }, inputs, u, v);
  const forward = body.nodes.slice(first);
  const difference = b.sub(outputs, targets);
  const loss = b.scale(b.reduceSum(b.mul(difference, difference), undefined, false), 1 / batch);
  const seed = b.scale(difference, 2 / batch);
  const gradients = differentiate(b, forward, new Map([[outputs, seed]]), [u, v]);

  const atStep = (table: string): Value => b.emit('Gather', [fromOutside(table), step], { axis: int(0) });
  const rates = { rate: atStep('rates'), root: atStep('roots') };
  const results = [b.emit('Identity', [goOn])];
  const states: Value[] = [];
  for (const { value, first: m, second: s } of moments) {
    const gradient = gradients.get(value) ?? b.zerosLike(value);
    const moved = adamStep(b, adam, { gradient, first: m, second: s }, rates);
    results.push(b.sub(value, moved.change));
    states.push(moved.first, moved.second);
  }
  const bodyOutputs = [...results, ...states, loss];
  for (const value of bodyOutputs) body.addOutput(value, b.typeOf(value));

  const zeros = [left, right].flatMap((value) => [e.zerosLike(value), e.zerosLike(value)]);
  const names = ['fittedLeft', 'fittedRight', 'first0', 'second0', 'first1', 'second1', 'losses'];
  const ends = names.map((name) => graph.addValue(name));
  const loop = graph.addNode({
    opType: 'Loop',
    name: 'steps',
    inputs: [e.ints([steps], []), undefined, left, right, ...zeros],
    outputs: ends,
    attributes: { body: bodyAttribute(body) },
  });
  for (const name of captured.keys()) graph.addCapture(loop, outer.get(name)!);
  const outputDims = [e.dims(left), e.dims(right), [steps]];
  [ends[0]!, ends[1]!, ends[6]!].forEach((value, i) => {
    graph.addOutput(value, { dataType: FLOAT, dims: outputDims[i]! });
  });
  return fitModel(graph, opsets);
}
