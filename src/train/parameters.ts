import { LowrankError } from '../errors.js';
import { ancestors } from '../autodiff/copy-forward.js';
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
  const needed = ancestors(output);
  for (const node of graph.sorted()) {
    if (!needed.has(node)) continue;
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
      const stored = storedIn(graph, value);
      if (stored === undefined || (!isLayer && stored.tensor!.size < 2)) return;
      requireFloat32(stored, node);
      parameters.add(stored);
    });
    const flows = findOperator(node.domain, node.opType)?.gradient?.kind !== 'zero';
    if (flows && (isLearned || isLayer)) {
      for (const value of node.outputs) if (value !== undefined) learned.add(value);
    }
  }
  for (const value of statistics) parameters.delete(value);
  const isFrozen = ({ name }: Value): boolean => freeze.some((glob) => matchesGlob(name, glob));
  const unused = freeze.find((glob) => ![...parameters].some(({ name }) => matchesGlob(name, glob)));
  if (unused !== undefined) {
    throw new LowrankError('USAGE', `--freeze '${unused}' matches no parameter`, {
      remedy: `their names are like '${[...parameters][0]?.name ?? ''}'`,
    });
  }
  const trained = [...parameters].filter((value) => !isFrozen(value));
  if (trained.length === 0) {
    throw new LowrankError('UNSUPPORTED', 'the model has nothing to train', {
      place: `output '${output.name}'`,
      remedy: parameters.size > 0 ? 'freeze less' : 'give a model with float32 layers',
    });
  }
  return { parameters: trained, statistics: [...statistics] };
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
