import { int, ints } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { inferShapes } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { eliminateDeadNodes } from '../passes/eliminate-dead-nodes.js';
import { runPasses } from '../passes/runner.js';
import type { RuntimeTensor } from '../runtime/types.js';
import { reasonToKeep } from '../rewrite/statistics-graph.js';

/** A model whose outputs tell what its first BatchNormalizations see. */
export interface ObservedInputs {
  readonly bytes: Uint8Array;
  pool(): InputPool;
}

export interface InputPool {
  /** What a run gave; runs are of equally many images. */
  add(outputs: Readonly<Record<string, RuntimeTensor>>): void;
  /** Mean over layers and channels of the distance between what was seen and the running statistics. */
  distance(): number;
}

/** The first ones see what depends least on what the images show. */
const mostLayers = 6;

interface RunningStatistics {
  readonly runningMean: Float32Array;
  readonly runningVariance: Float32Array;
}

interface ObservedLayer extends RunningStatistics {
  readonly mean: string;
  readonly square: string;
}

function statisticsOf(graph: Graph, node: Node): RunningStatistics {
  const dataOf = (index: number): Float32Array => resolveWeight(graph, node.inputs[index]!)!.data();
  return { runningMean: dataOf(3), runningVariance: dataOf(4) };
}

/** Not as they are before training: 0 and 1. */
function isTrained({ runningMean, runningVariance }: RunningStatistics): boolean {
  return runningMean.some((value) => value !== 0) || runningVariance.some((value) => value !== 1);
}

/** The first BatchNormalizations that can be looked at. */
function trainedLayers(graph: Graph): readonly Node[] {
  return graph
    .sorted()
    .filter((node) => node.is('BatchNormalization') && reasonToKeep(graph, node) === undefined)
    .filter((node) => isTrained(statisticsOf(graph, node)))
    .slice(0, mostLayers);
}

/**
 * undefined where no BatchNormalization has statistics of training. Throws RUNTIME where a run needs more than `memory` bytes,
 * default those of the machine.
 */
export function observeNormalizationInputs(original: Model, memory?: number): ObservedInputs | undefined {
  // Before the model is copied.
  if (trainedLayers(original.graph).length === 0) return undefined;
  const model = readModel(modelBytes(original));
  const { graph } = model;
  const nodes = trainedLayers(graph);
  const shapes = inferShapes(model);
  for (const output of graph.outputs.splice(0)) output.isOutput = false;
  const layers = nodes.map((node) => observe(model, node, shapes.typeOf(node.inputs[0]!)));
  runPasses(model, [eliminateDeadNodes]);
  requireMemory(graph, inferShapes(model), memory);
  return { bytes: modelBytes(model), pool: () => poolOf(layers) };
}

function observe(
  model: Model,
  node: Node,
  type: { readonly dataType: number; readonly dims: readonly unknown[] } | undefined,
): ObservedLayer {
  const { graph } = model;
  const x = node.inputs[0]!;
  const emit = (opType: string, inputs: readonly Value[], attributes = {}): Value => {
    const output = graph.addValue(graph.uniqueName(`${x.name}.seen`));
    graph.addNode({ opType, name: graph.uniqueNodeName(output.name), inputs, outputs: [output], attributes });
    return output;
  };
  const rank = type?.dims.length ?? 4;
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1);
  const mean = (value: Value): string => {
    const keepdims = int(0);
    const axesInput = (): Value =>
      graph.addInitializer(Tensor.ofInts(graph.uniqueName(`${x.name}.axes`), [axes.length], axes));
    const output =
      opsetOf(model) >= 18
        ? emit('ReduceMean', [value, axesInput()], { keepdims })
        : emit('ReduceMean', [value], { axes: ints(axes), keepdims });
    graph.addOutput(output, { dataType: FLOAT, dims: undefined });
    return output.name;
  };
  const values = (type?.dataType ?? FLOAT) === FLOAT ? x : emit('Cast', [x], { to: int(FLOAT) });
  const statistics = statisticsOf(graph, node);
  return { mean: mean(values), square: mean(emit('Mul', [values, values])), ...statistics };
}

function poolOf(layers: readonly ObservedLayer[]): InputPool {
  const sums = layers.map(({ runningMean: { length } }) => ({
    mean: new Float64Array(length),
    square: new Float64Array(length),
  }));
  let runs = 0;
  return {
    add(outputs) {
      layers.forEach((layer, index) => {
        for (const part of ['mean', 'square'] as const) {
          const values = outputs[layer[part]]!.data as Float32Array;
          values.forEach((value, channel) => (sums[index]![part][channel]! += value));
        }
      });
      runs++;
    },
    distance() {
      const perLayer = layers.map(({ runningMean, runningVariance }, index) => {
        let sum = 0;
        for (const [channel, mean] of runningMean.entries()) {
          const seen = sums[index]!.mean[channel]! / runs;
          const seenVariance = sums[index]!.square[channel]! / runs - seen * seen;
          sum += bhattacharyya(seen - mean, seenVariance, runningVariance[channel]!);
        }
        return sum / runningMean.length;
      });
      return perLayer.reduce((sum, distance) => sum + distance, 0) / perLayer.length;
    },
  };
}

/** Between two Gaussians whose means differ by `difference`: bounded by logarithms, so that no channel decides alone. */
function bhattacharyya(difference: number, variance: number, other: number): number {
  const least = 1e-6 * Math.max(variance, other, difference * difference) + Number.MIN_VALUE;
  const [a, b] = [Math.max(variance, least), Math.max(other, least)];
  return difference ** 2 / (4 * (a + b)) + Math.log((a + b) / (2 * Math.sqrt(a * b))) / 2;
}
