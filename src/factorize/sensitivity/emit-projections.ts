import { differentiate } from '../../autodiff/differentiate.js';
import { int } from '../../graph/attributes.js';
import type { Model } from '../../graph/model.js';
import type { Value } from '../../graph/value.js';
import { FLOAT, isFloatType } from '../../onnx/data-type.js';
import { Emitter } from '../../ops/emitter.js';
import type { ShapeTable } from '../../ops/infer.js';
import { endOfModel } from '../../passes/classifier-end.js';
import { eliminateDeadNodes } from '../../passes/eliminate-dead-nodes.js';
import { runPasses } from '../../passes/runner.js';
import type { ChangeUnit, Scheme } from '../../report/contract.js';
import { pairAttributes } from '../emit.js';
import type { FactorizableLayer } from '../layers.js';
import { toKernels } from '../layout.js';
import type { FactorPair } from '../types.js';

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
 * pass back through the graph gives all layers, schemes and ranks: with z the numbers between the two factors, the part of
 * component k is Σ z_k ∂/∂z_k, over all positions.
 *
 * Throws UNSUPPORTED where an operator on the way has no gradient.
 */
export function emitProjections(
  model: Model,
  shapes: ShapeTable,
  requests: readonly ProjectedLayer[],
): ProjectionGraph {
  const { graph } = model;
  const e = new Emitter(graph, { opsets: model.opsets, prefix: 'sensitivity.' });
  for (const value of graph.values.values()) {
    const type = shapes.typeOf(value);
    if (type !== undefined) e.declare(value, type);
  }
  const nodes = graph.sorted();
  const end = endOfModel(model, shapes);
  const draws: ProjectionGraph['draws'][number][] = [];
  const draw = (dims: readonly number[]): Value => {
    const name = graph.uniqueName('sensitivity.signs');
    draws.push({ name, dims });
    return e.declare(graph.addInput(name, { dataType: FLOAT, dims }), { dataType: FLOAT, dims });
  };
  const seeds = new Map<Value, Value>();
  const hasClasses = isClasses(e, end.logits);
  for (const output of graph.outputs) {
    const isFirst = output === graph.outputs[0];
    const value = isFirst ? end.logits : output;
    if (!isFloatType(e.typeOf(value).dataType) || seeds.has(value)) continue;
    const signs = draw(e.dims(value));
    seeds.set(value, isFirst && hasClasses ? fisherRoot(e, end.kind, value, signs) : relative(e, value, signs));
  }
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
    if (bias !== undefined) total = e.sub(total, e.reduceSum(e.mul(sums, bias), undefined, false));
    if (mean !== undefined) {
      total = e.sub(total, e.reduceSum(e.mul(sums, e.floats(mean)), undefined, false));
    }
    const parts = pairs.map((projected) => {
      const { scheme, pair, means } = projected;
      const { first, second } = toKernels(pair, layer.geometry, scheme, layer.form, layer.node.int('transB', 0));
      const hidden = emitFirst(e, layer, scheme, e.floats(first.data, first.dims));
      const before = graph.nodes.length;
      const result = emitSecond(e, layer, scheme, hidden, e.floats(second.data, second.dims));
      const back = differentiate(e, graph.nodes.slice(before), new Map([[result, g]]), [hidden]).get(hidden)!;
      let part = sumBut(e, e.mul(hidden, back), channelAxis(layer, e.rank(hidden)));
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
  return { draws, layers, unit: hasClasses ? 'kl' : 'squared-error' };
}

function emitFirst(e: Emitter, layer: FactorizableLayer, scheme: Scheme, weight: Value): Value {
  const { node, form } = layer;
  switch (form) {
    case 'conv':
      return e.emit('Conv', [node.inputs[0], weight], pairAttributes(layer, scheme)[0]);
    case 'matmul-left':
      return e.emit('MatMul', [weight, node.inputs[1]]);
    case 'matmul-right':
      return e.emit('MatMul', [node.inputs[0], weight]);
    case 'gemm': {
      const input = node.inputs[0]!;
      return e.emit('MatMul', [node.int('transA', 0) === 1 ? e.transpose(input, [1, 0]) : input, weight]);
    }
  }
}

/** Without the bias. */
function emitSecond(e: Emitter, layer: FactorizableLayer, scheme: Scheme, hidden: Value, weight: Value): Value {
  const { node, form } = layer;
  switch (form) {
    case 'conv':
      return e.emit('Conv', [hidden, weight], pairAttributes(layer, scheme)[1]);
    case 'matmul-left':
      return e.emit('MatMul', [weight, hidden]);
    case 'matmul-right':
      return e.emit('MatMul', [hidden, weight]);
    case 'gemm': {
      const own = Object.fromEntries([...node.attributes].filter(([name]) => name !== 'transA' && name !== 'beta'));
      return e.emit('Gemm', [hidden, weight], own);
    }
  }
}

/** [channels] */
function sumBut(e: Emitter, value: Value, axis: number): Value {
  const axes = e.dims(value).flatMap((_, at) => (at === axis ? [] : [at]));
  return e.reduceSum(value, axes, false);
}

function channelAxis(layer: FactorizableLayer, rank: number): number {
  if (layer.form === 'conv') return 1;
  return layer.form === 'matmul-left' ? Math.max(0, rank - 2) : rank - 1;
}

/** [out], or of one element. */
function biasOf(e: Emitter, { node, form }: FactorizableLayer): Value | undefined {
  const bias = node.inputs[2];
  if (bias === undefined || form === 'matmul-right' || form === 'matmul-left') return undefined;
  const beta = form === 'gemm' ? node.float('beta', 1) : 1;
  return e.scale(bias, beta);
}

/** [N, classes], maybe with axes of 1. */
function isClasses(e: Emitter, value: Value): boolean {
  return (
    e
      .dims(value)
      .slice(1)
      .filter((dim) => dim > 1).length === 1
  );
}

/** B ξ with BBᵀ the Fisher matrix of the classes: √p ∘ ξ − p (√p · ξ); of classes one by one √(p (1 − p)) ∘ ξ. */
function fisherRoot(e: Emitter, kind: string, logits: Value, signs: Value): Value {
  const wide = e.cast(logits, FLOAT);
  if (kind === 'sigmoid') {
    const p = e.emit('Sigmoid', [wide]);
    const variance = e.mul(p, e.sub(e.scalar(1), p));
    return e.cast(e.mul(e.emit('Sqrt', [variance]), signs), e.typeOf(logits).dataType);
  }
  const axis = e.dims(logits).findIndex((dim, at) => at > 0 && dim > 1);
  const p = e.emit('Softmax', [wide], { axis: int(axis) });
  const root = e.mul(e.emit('Sqrt', [p]), signs);
  return e.cast(e.sub(root, e.mul(p, e.reduceSum(root, [axis], true))), e.typeOf(logits).dataType);
}

/** ξ / ‖output‖: half the mean square is that of the relative error. */
function relative(e: Emitter, value: Value, signs: Value): Value {
  const wide = e.cast(value, FLOAT);
  const norm = e.emit('Sqrt', [e.add(e.reduceSum(e.mul(wide, wide)), e.scalar(1e-12))]);
  return e.cast(e.div(signs, norm), e.typeOf(value).dataType);
}
