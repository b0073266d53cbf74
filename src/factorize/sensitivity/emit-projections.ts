import { differentiate } from '../../autodiff/differentiate.js';
import { LowrankError } from '../../errors.js';
import { int } from '../../graph/attributes.js';
import type { Model } from '../../graph/model.js';
import type { Value } from '../../graph/value.js';
import { FLOAT, isFloatType } from '../../onnx/data-type.js';
import { type Emitter, emitterFor } from '../../ops/emitter.js';
import type { ShapeTable } from '../../ops/infer.js';
import { endOfModel, hasClasses } from '../../passes/classifier-end.js';
import { eliminateDeadNodes } from '../../passes/eliminate-dead-nodes.js';
import { runPasses } from '../../passes/runner.js';
import type { ChangeUnit, Scheme } from '../../contracts/convert.js';
import { channelAxis } from '../calibration/probe.js';
import { factorConvolutions } from '../../rewrite/emit.js';
import { type FactorizableLayer, isConvolution } from '../../rewrite/layers.js';
import { type Kernel, splitPair, toKernels } from '../../rewrite/layout.js';
import { schemes } from '../../rewrite/schemes/index.js';
import type { FactorPair } from '../../rewrite/types.js';

/** A pair of the highest rank whose parts of lower rank are all looked at. */
export interface Projected {
  readonly scheme: Scheme;
  readonly pair: FactorPair;
  /** out × rank: what each component gives in the mean; undefined where a bias cannot put that right. */
  readonly means: Float32Array | undefined;
}

export interface ProjectionOutputs {
  /** float32 [1]: Σ g·(Wx − its mean); undefined where the outputs do not depend on the layer. */
  readonly total: string | undefined;
  /** Per projected pair, float32 [rank]: Σ g·(u_k v_kᵀx − its mean). */
  readonly parts: readonly string[];
}

export interface ProjectionGraph {
  /** float32 inputs, drawn anew for every run, with their dims: ±1 for what each output is projected on. */
  readonly draws: readonly { readonly name: string; readonly dims: readonly number[] }[];
  /** In the order of the layers asked for. */
  readonly layers: readonly ProjectionOutputs[];
  /** What half the mean square is. */
  readonly unit: ChangeUnit;
}

export interface ProjectedLayer {
  readonly layer: FactorizableLayer;
  /** What the layer gives in the mean, without its bias; undefined where a bias cannot put that right. */
  readonly mean: Float32Array | undefined;
  readonly pairs: readonly Projected[];
}

/**
 * Gives a model other outputs: by how much a random projection of its outputs moves, to first order, where a layer is cut to
 * each of its ranks. With B ξ the projection, ξ random signs, BBᵀ is the Fisher matrix of the outputs, diag(p) − ppᵀ of a
 * softmax, so that half the mean square of what a cut moves it by is the divergence KL(original ‖ cut) to second order. One
 * pass back through the graph gives all layers, schemes and ranks: with z the numbers behind the first factor, the part of
 * component k is Σ z_k ∂/∂z_k, over all positions.
 *
 * `squares`: of each of `relativeOutputs`, E‖output‖² of one image; what is 0 throughout has no relative error and is left out.
 *
 * Throws UNSUPPORTED where an operator on the way has no gradient, or no output can be compared.
 */
export function emitProjections(
  model: Model,
  shapes: ShapeTable,
  requests: readonly ProjectedLayer[],
  squares: ReadonlyMap<string, number>,
): ProjectionGraph {
  const { graph } = model;
  const isOfClasses = hasClasses(model, shapes);
  const e = emitterFor(model, shapes, 'sensitivity.');
  const nodes = graph.sorted();
  const end = endOfModel(model, shapes);
  const draws: ProjectionGraph['draws'][number][] = [];
  const draw = (dims: readonly number[]): Value => {
    const name = graph.uniqueName('sensitivity.signs');
    draws.push({ name, dims });
    return e.declare(graph.addInput(name, { dataType: FLOAT, dims }), { dataType: FLOAT, dims });
  };
  const seeds = new Map<Value, Value>();
  if (isOfClasses) seeds.set(end.logits, fisherRoot(e, end.kind, end.logits, draw(e.dims(end.logits))));
  for (const output of relativeOutputs(model, shapes)) {
    const square = squares.get(output.name) ?? 0;
    if (!(square > 0) || seeds.has(output)) continue;
    seeds.set(output, relative(e, output, draw(e.dims(output)), square));
  }
  if (seeds.size === 0) throw new LowrankError('UNSUPPORTED', 'no output of the model is a float that is not 0');
  const outputs = requests.map(({ layer }) => layer.node.outputs[0]!);
  const gradients = differentiate(e, nodes, seeds, outputs);
  for (const output of graph.outputs.splice(0)) output.isOutput = false;
  const give = (value: Value): string => {
    graph.addOutput(value, { dataType: FLOAT, dims: e.dims(value) });
    return value.name;
  };
  const layers = requests.map(({ layer, mean, pairs }): ProjectionOutputs => {
    const y = layer.node.outputs[0]!;
    const g = gradients.get(y);
    if (g === undefined) return { total: undefined, parts: [] };
    const axis = channelAxis(layer, e.rank(y));
    const sums = sumBut(e, g, axis);
    const bias = biasOf(e, layer);
    let total = e.reduceSum(e.mul(g, y), undefined, false);
    // That of a Gemm is anything that broadcasts to its output.
    if (bias !== undefined) {
      total = e.sub(total, e.reduceSum(e.mul(layer.form === 'gemm' ? g : sums, bias), undefined, false));
    }
    if (mean !== undefined) {
      total = e.sub(total, e.reduceSum(e.mul(sums, e.floats(mean)), undefined, false));
    }
    const parts = pairs.map((projected) => {
      const { scheme, pair, means } = projected;
      const factors = splitPair(pair, scheme);
      const kernels = toKernels(factors, layer.geometry, scheme, layer.form, layer.node.int('transB', 0));
      const emit = (input: Value, kernel: Kernel, at: number): Value =>
        emitFactor(e, layer, scheme, at, input, e.floats(kernel.data, kernel.dims));
      const [first, ...others] = kernels;
      const hidden = emit(inputOf(e, layer), first!, 0);
      const before = graph.nodes.length;
      const result = others.reduce((input, kernel, at) => emit(input, kernel, at + 1), hidden);
      const back = differentiate(e, graph.nodes.slice(before), new Map([[result, g]]), [hidden]).get(hidden)!;
      let part = sumBut(e, e.mul(hidden, back), channelAxis(layer, e.rank(hidden)));
      // Those of a stack of matrices are summed up already.
      if (layer.group > 1 && layer.geometry.stack === undefined)
        part = e.reduceSum(e.reshape(part, [layer.group, -1]), [0], false);
      if (means !== undefined) {
        const moved = e.emit('MatMul', [
          e.reshape(sums, [1, -1]),
          e.floats(means, [means.length / pair.left.cols, pair.left.cols]),
        ]);
        part = e.sub(part, e.reshape(moved, [-1]));
      }
      return give(part);
    });
    return { total: give(e.reshape(total, [1])), parts };
  });
  runPasses(model, [eliminateDeadNodes]);
  return { draws, layers, unit: isOfClasses ? 'kl' : 'squared-error' };
}

/** The outputs whose relative error counts: those of floats, but for the first where it is of classes. */
export function relativeOutputs(model: Model, shapes: ShapeTable): readonly Value[] {
  const others = hasClasses(model, shapes) ? model.graph.outputs.slice(1) : model.graph.outputs;
  return [...new Set(others)].filter((output) => isFloatType(shapes.typeOf(output)?.dataType ?? 0));
}

/** What the first factor reads. */
function inputOf(e: Emitter, { node, form }: FactorizableLayer): Value {
  const input = node.inputs[form === 'matmul-left' ? 1 : 0]!;
  return form === 'gemm' && node.int('transA', 0) === 1 ? e.transpose(input, [1, 0]) : input;
}

/** Factor `at`, without the bias. */
function emitFactor(
  e: Emitter,
  layer: FactorizableLayer,
  scheme: Scheme,
  at: number,
  input: Value,
  weight: Value,
): Value {
  const { node, form } = layer;
  if (isConvolution(form)) {
    const { opType, attributes } = factorConvolutions(layer, scheme)[at]!;
    return e.emit(opType, [input, weight], attributes);
  }
  if (form === 'matmul-left') return e.emit('MatMul', [weight, input]);
  if (form === 'matmul-right' || at < schemes[scheme].factors.length - 1) return e.emit('MatMul', [input, weight]);
  const own = Object.fromEntries([...node.attributes].filter(([name]) => name !== 'transA' && name !== 'beta'));
  return e.emit('Gemm', [input, weight], own);
}

/** [channels] */
function sumBut(e: Emitter, value: Value, axis: number): Value {
  const axes = e.dims(value).flatMap((_, at) => (at === axis ? [] : [at]));
  return e.reduceSum(value, axes, false);
}

/** Of a convolution [out]. */
function biasOf(e: Emitter, { node, form }: FactorizableLayer): Value | undefined {
  const bias = node.inputs[2];
  if (bias === undefined || form === 'matmul-right' || form === 'matmul-left') return undefined;
  const beta = form === 'gemm' ? node.float('beta', 1) : 1;
  return e.scale(bias, beta);
}

/** B ξ with BBᵀ the Fisher matrix of the classes: √p ∘ ξ − p (√p · ξ); of classes one by one, whose mean counts, √(p (1 − p) / classes) ∘ ξ. */
function fisherRoot(e: Emitter, kind: string, logits: Value, signs: Value): Value {
  const wide = e.cast(logits, FLOAT);
  if (kind === 'sigmoid') {
    const p = e.emit('Sigmoid', [wide]);
    const classes = e
      .dims(logits)
      .slice(1)
      .reduce((product, dim) => product * dim, 1);
    const variance = e.scale(e.mul(p, e.sub(e.scalar(1), p)), 1 / classes);
    return e.cast(e.mul(e.emit('Sqrt', [variance]), signs), e.typeOf(logits).dataType);
  }
  const axis = e.dims(logits).findIndex((dim, at) => at > 0 && dim > 1);
  const p = e.emit('Softmax', [wide], { axis: int(axis) });
  const root = e.mul(e.emit('Sqrt', [p]), signs);
  return e.cast(e.sub(root, e.mul(p, e.reduceSum(root, [axis], true))), e.typeOf(logits).dataType);
}

/** ξ / √E‖output‖²: half the mean square is that of the relative error. */
function relative(e: Emitter, value: Value, signs: Value, square: number): Value {
  return e.cast(e.scale(signs, 1 / Math.sqrt(square)), e.typeOf(value).dataType);
}
