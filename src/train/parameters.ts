import { LowrankError } from '../errors.js';
import { ancestors, sortedAncestors } from '../graph/ancestors.js';
import { matchesGlob } from '../factorize/glob.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { dataTypeName, FLOAT, isFloatType } from '../onnx/data-type.js';
import { findOperator } from '../ops/registry.js';
import { resolveWeight } from '../ops/resolve-weight.js';

/** What of a model is trained, and what is kept as running statistics: initializers, in the order of their first use. */
export interface FoundParameters {
  readonly parameters: readonly Value[];
  readonly statistics: readonly Value[];
}

/** Inputs that hold trainable weights. */
const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  GroupNormalization: [1, 2],
  LayerNormalization: [1, 2],
  RMSNormalization: [1],
  SimplifiedLayerNormalization: [1],
  SkipLayerNormalization: [2, 3, 4],
  PRelu: [1],
  FusedConv: [1, 2],
  FusedGemm: [0, 1, 2],
  FusedMatMul: [0, 1],
};

/** Running statistics, which training updates without a gradient. */
const statisticInputs: Readonly<Record<string, readonly number[]>> = { BatchNormalization: [3, 4] };

/**
 * Operators whose constants are trainable where they meet what is trained already: biases, layer scales, position
 * embeddings, class tokens. A constant before the first layer (the mean and deviation of the images) is none, nor is one
 * of a single element (the 3 and 6 of a spelled-out HardSwish).
 */
const learnedOperands = new Set(['Add', 'Sub', 'Mul', 'Div', 'Concat', 'BiasGelu', 'SkipLayerNormalization']);

/** Those that say that weights are whole numbers. */
const quantizedOperators = /^(QLinear|QGemm|DequantizeLinear|ConvInteger|MatMulInteger)/;

/** Operators that repeat a constant, or add it to one: what class tokens come through. By the inputs that are data. */
const constantSteps: Readonly<Record<string, readonly number[]>> = { Expand: [0], Tile: [0], Add: [0, 1] };

/**
 * Finds the float32 initializers that `output` depends on in a differentiable way and that hold weights: the weight
 * inputs of layers, through Transpose, Reshape and the like, and constant operands behind layers. Matches of `freeze`
 * are left out.
 * Throws UNSUPPORTED where a weight is of another float type, or where there is nothing to train.
 */
export function findParameters(graph: Graph, output: Value, freeze: readonly string[]): FoundParameters {
  const parameters = new Set<Value>();
  const statistics = new Set<Value>();
  /** Values that depend on the input and on parameters. */
  const learned = new Set<Value>();
  /** Values that depend on what is in the input, not on its shape alone. */
  const seen = new Set(graph.inputs.filter(({ tensor }) => tensor === undefined));
  for (const node of sortedAncestors(graph, output)) {
    const isLearned = node.inputs.some((value) => value !== undefined && learned.has(value));
    const own = weightInputs[node.opType];
    const isLayer = own !== undefined;
    node.inputs.forEach((value, index) => {
      if (value === undefined) return;
      if (statisticInputs[node.opType]?.includes(index) === true) {
        const stored = storedIn(graph, value);
        if (stored !== undefined) statistics.add(stored);
        return;
      }
      const isOperand = learnedOperands.has(node.opType) && isLearned;
      if (own?.includes(index) !== true && !isOperand) return;
      for (const stored of isOperand ? constantsBehind(graph, value, seen) : [storedIn(graph, value)]) {
        if (stored === undefined || (!isLayer && stored.tensor!.size < 2)) continue;
        requireFloat32(stored, node);
        parameters.add(stored);
      }
    });
    const flows = findOperator(node.domain, node.opType)?.gradient.kind !== 'zero';
    if (flows && node.inputs.some((value) => value !== undefined && seen.has(value))) {
      for (const value of node.outputs) if (value !== undefined) seen.add(value);
    }
    if (flows && (isLearned || isLayer)) {
      for (const value of node.outputs) if (value !== undefined) learned.add(value);
    }
  }
  const both = [...statistics].find((value) => parameters.has(value));
  if (both !== undefined) {
    throw new LowrankError('UNSUPPORTED', `'${both.name}' is a weight and a running statistic at once`, {
      place: both.uses.map(({ node }) => node.label).join(', '),
      remedy: 'export the model so that equal tensors are not shared',
    });
  }
  const isFrozen = ({ name }: Value): boolean => freeze.some((glob) => matchesGlob(name, glob));
  const unused = freeze.find((glob) => ![...parameters].some(({ name }) => matchesGlob(name, glob)));
  if (unused !== undefined) {
    throw new LowrankError('USAGE', `--freeze '${unused}' matches no parameter`, {
      remedy: `their names are like '${[...parameters][0]?.name ?? ''}'`,
    });
  }
  const trained = [...parameters].filter((value) => !isFrozen(value));
  if (trained.length === 0) {
    const quantized = [...ancestors(output)].find((node) => quantizedOperators.test(node.opType));
    const isQuantized = parameters.size === 0 && quantized !== undefined;
    throw new LowrankError('UNSUPPORTED', isQuantized ? 'the model is quantized' : 'the model has nothing to train', {
      place: isQuantized ? quantized.label : `output '${output.name}'`,
      remedy: parameters.size > 0 ? 'freeze less' : 'give a model with float32 weights',
    });
  }
  return { parameters: trained, statistics: [...statistics] };
}

/** The initializers that a value is made of, where it does not depend on the images. */
function constantsBehind(graph: Graph, value: Value, seen: ReadonlySet<Value>): Value[] {
  if (seen.has(value)) return [];
  const stored = storedIn(graph, value);
  if (stored !== undefined) return [stored];
  const { producer } = value;
  const data = producer?.domain === '' ? (constantSteps[producer.opType] ?? []) : [];
  return data.flatMap((index) => {
    const input = producer!.inputs[index];
    return input === undefined ? [] : constantsBehind(graph, input, seen);
  });
}

/** The initializer that a value is, maybe in another layout. */
function storedIn(graph: Graph, value: Value): Value | undefined {
  if (value.tensor !== undefined) return isFloatType(value.tensor.dataType) ? value : undefined;
  const resolved = resolveWeight(graph, value);
  return resolved?.source.tensor === undefined ? undefined : resolved.source;
}

function requireFloat32({ name, tensor }: Value, node: Node): void {
  if (tensor!.dataType === FLOAT) return;
  throw new LowrankError('UNSUPPORTED', `the weight '${name}' is ${dataTypeName(tensor!.dataType)}`, {
    place: node.label,
    remedy: 'training needs a float32 model: export it as float32',
  });
}
