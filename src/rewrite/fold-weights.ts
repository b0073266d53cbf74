import { throwIfAborted } from '../errors.js';
import { sortedAncestors } from '../graph/ancestors.js';
import { hasBody } from '../graph/body-nodes.js';
import { Graph } from '../graph/graph.js';
import { type Model, newModel } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import type { RunLimits } from '../limits.js';
import { FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { inferShapes } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { becomeInitializer, canBecomeInitializer } from '../passes/become-initializer.js';
import { random } from '../passes/inference-form.js';
import type { Driver, RuntimeTensor } from '../runtime/types.js';

/** Where layers hold their weight. */
const weightsOf: Readonly<Record<string, readonly number[]>> = {
  Conv: [1],
  ConvTranspose: [1],
  Gemm: [1],
  MatMul: [0, 1],
};

/** Operators whose outputs are not what the file stores: drawn anew, or quantized. */
const notFolded = new Set([...random, 'QuantizeLinear', 'DequantizeLinear', 'DynamicQuantizeLinear']);

/**
 * Weights of layers that are computed of stored tensors alone (weight standardization, weight and spectral normalization)
 * become initializers: they are computed once, by onnxruntime, as every run computes them. They take the name of the largest
 * tensor that they are made of where nothing else reads that. Gives how many there were; where onnxruntime cannot compute
 * them, or not within `limits`, the model is left as it is. Throws ABORTED.
 */
export async function foldWeights(
  model: Model,
  driver: () => Promise<Driver>,
  { limits, signal }: { readonly limits?: RunLimits | undefined; readonly signal?: AbortSignal | undefined },
): Promise<number> {
  const { graph } = model;
  const computed = computedWeights(graph);
  if (computed.length === 0) return 0;
  throwIfAborted(signal);
  const results = await compute(model, computed, driver, limits?.memory);
  if (results === undefined) return 0;
  let folded = 0;
  for (const value of computed) {
    const { data, dims } = results[value.name]!;
    if (!(data instanceof Float32Array)) continue;
    const source = largestSource(graph, value);
    const inputs = value.producer!.inputs;
    const made = becomeInitializer(graph, value, Tensor.ofFloats(value.name, dims, data));
    for (const input of inputs) if (input !== undefined) graph.removeIfUnused(input);
    if (source !== undefined && graph.value(source) === undefined) {
      graph.replaceUses(made, graph.addInitializer(made.tensor!.renamed(source)));
      graph.removeIfUnused(made);
    }
    folded++;
  }
  return folded;
}

/** Float32 weights that depend on no input and are more than a stored tensor in another layout. */
function computedWeights(graph: Graph): readonly Value[] {
  const variable = new Set(graph.inputs.filter(({ tensor }) => tensor === undefined));
  /** Of values that are the same in every run, those that must not be folded. */
  const blocked = new Set<Value>();
  const reads = (node: Node, values: ReadonlySet<Value>): boolean =>
    node.inputs.some((value) => value !== undefined && values.has(value));
  const found = new Set<Value>();
  for (const node of graph.sorted()) {
    if (reads(node, variable) || hasBody(node)) {
      for (const value of node.outputs) if (value !== undefined) variable.add(value);
    } else if (reads(node, blocked) || node.domain !== '' || notFolded.has(node.opType)) {
      for (const value of node.outputs) if (value !== undefined) blocked.add(value);
    }
    if (node.domain !== '' || !reads(node, variable)) continue;
    for (const index of weightsOf[node.opType] ?? []) {
      const value = node.inputs[index];
      if (value?.producer === undefined || variable.has(value) || blocked.has(value)) continue;
      const isOwn = canBecomeInitializer(value);
      const isOnly = value.producer.outputs.every((output) => output === undefined || output === value);
      if (isOwn && isOnly && resolveWeight(graph, value) === undefined) found.add(value);
    }
  }
  return [...found];
}

/** The values as one run gives them; undefined where there is none. */
async function compute(
  model: Model,
  values: readonly Value[],
  driver: () => Promise<Driver>,
  memory: number | undefined,
): Promise<Readonly<Record<string, RuntimeTensor>> | undefined> {
  const part = newModel(new Graph('weights'), model.opsets, model.irVersion);
  const { graph } = part;
  const copies = new Map<Value, Value>();
  const copyOf = (value: Value | undefined): Value | undefined => {
    if (value === undefined) return undefined;
    const copy =
      copies.get(value) ??
      (value.tensor === undefined
        ? graph.addValue(value.name)
        : graph.addInitializer(value.tensor.renamed(value.name)));
    copies.set(value, copy);
    return copy;
  };
  for (const { opType, name, inputs, outputs, attributes } of sortedAncestors(model.graph, ...values)) {
    graph.addNode({
      ...{ opType, name, inputs: inputs.map(copyOf), outputs: outputs.map(copyOf) },
      attributes: Object.fromEntries(attributes),
    });
  }
  for (const value of values) graph.addOutput(copyOf(value)!, { dataType: FLOAT, dims: undefined });
  try {
    requireMemory(graph, inferShapes(part), memory);
    const session = await (
      await driver()
    ).createSession(modelBytes(part), {
      device: 'cpu',
      graphOptimization: 'disabled',
    });
    try {
      return await session.run({});
    } finally {
      await session.close();
    }
  } catch {
    return undefined;
  }
}

/** The name of the largest tensor that a value is made of, where nothing else is. */
function largestSource(graph: Graph, value: Value): string | undefined {
  const made = new Set(sortedAncestors(graph, value));
  const sources = [...made].flatMap(({ inputs }) => inputs.filter((input) => input?.tensor !== undefined)) as Value[];
  const [largest] = sources.toSorted((a, b) => b.tensor!.size - a.tensor!.size);
  return largest?.uses.every(({ node }) => made.has(node)) === true ? largest.name : undefined;
}
