import { LowrankError } from '../errors.js';
import { ancestors, sortedAncestors } from '../graph/ancestors.js';
import { matchesGlob } from '../rewrite/glob.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { dataTypeName, FLOAT, isFloatType } from '../onnx/data-type.js';
import { findOperator } from '../ops/registry.js';
import { isFixedInput } from '../passes/fix-inputs.js';
import { valuesOfImages } from '../passes/inference-form.js';
import { statisticInputs, weightInputs } from '../ops/support/weight-inputs.js';
import { reasonToStay, type Stay, type Stored } from './what-stays.js';

/** A stored float tensor that the output depends on and that is not trained. */
export interface KeptTensor extends Stay {
  readonly value: Value;
}

/** What of a model is trained, and what is kept as running statistics: initializers, in the order of their first use. */
export interface FoundParameters {
  readonly parameters: readonly Value[];
  readonly statistics: readonly Value[];
  /** The rest of the stored float tensors that the output depends on through what is differentiable. */
  readonly kept: readonly KeptTensor[];
}

/** What of the initializers and Constant nodes the file stores, without what inputs are fixed to; ask before passes make initializers of others. */
export function storedTensors(graph: Graph): Stored {
  const initializers = new Set(graph.initializers.map(({ name }) => name).filter((name) => !isFixedInput(name)));
  for (const node of graph.sorted()) {
    const isCopy = node.is('Identity') && node.inputs[0] !== undefined && initializers.has(node.inputs[0].name);
    if (isCopy && node.outputs[0] !== undefined) initializers.add(node.outputs[0].name);
  }
  const normalizations = graph.nodes.filter((node) => node.is('BatchNormalization'));
  return {
    initializers,
    variances: new Set(normalizations.flatMap(({ inputs }) => inputs[4]?.name ?? [])),
    constants: new Set(graph.nodes.flatMap((node) => (node.is('Constant') ? (node.outputs[0]?.name ?? []) : []))),
  };
}

export interface ParameterChoice {
  /** Globs of parameters that are not trained. */
  readonly freeze: readonly string[];
  /** Globs of tensors that are trained though a rule would keep them. */
  readonly trainAlso?: readonly string[];
  /** Default: all that the graph has are initializers of the file. */
  readonly stored?: Stored;
}

/** Those that say that weights are whole numbers. */
const quantizedOperators = /^(QLinear|QGemm|DequantizeLinear|ConvInteger|MatMulInteger)/;

/** How a stored tensor gets from where it lies to where it meets what depends on the images. */
interface Path {
  /** Whether it lies in another layout or type at most. */
  readonly isPlain: boolean;
  /** The first node on the way that computes with it. */
  readonly first?: Node;
}

const layoutOperators = new Set(['Identity', 'Transpose', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Cast']);

/**
 * Finds the stored float32 tensors that are trained: all that `outputs` depend on through operators with a gradient, from
 * where they lie, through whatever computes with stored tensors alone (Slice, Gather, Concat, Mul, ReduceL2 …), to where a
 * layer or an operand behind a layer reads the result. `reasonToStay` says which of them are no weights; running statistics,
 * operands in front of the first layer, inputs that set an operator up (`settings` of Operator), and what only
 * operators without a gradient lead to, stay as well.
 * Throws UNSUPPORTED where a weight is of another float type, or where there is nothing to train; USAGE for globs that match
 * nothing.
 */
export function findParameters(
  graph: Graph,
  outputs: readonly Value[],
  { freeze, trainAlso = [], stored }: ParameterChoice,
): FoundParameters {
  const parameters = new Set<Value>();
  const statistics = new Set<Value>();
  const kept = new Map<Value, Stay>();
  /** Values that depend on the input and on parameters. */
  const learned = new Set<Value>();
  const seen = valuesOfImages(graph);
  /** Of values that do not: the stored tensors that they are made of. */
  const made = new Map<Value, ReadonlyMap<Value, Path>>();
  const sourcesOf = (value: Value): ReadonlyMap<Value, Path> => {
    const { tensor, name } = value;
    if (tensor === undefined) return made.get(value) ?? new Map<Value, Path>();
    const isOwn = stored === undefined || stored.initializers.has(name) || stored.constants.has(name);
    return new Map(isFloatType(tensor.dataType) && isOwn ? [[value, { isPlain: true }]] : []);
  };
  const keep = (sources: Iterable<Value>, stay: Stay): void => {
    for (const source of sources) if (!kept.has(source)) kept.set(source, stay);
  };
  const hasWeights = hasStoredWeights(graph, stored);
  for (const node of sortedAncestors(graph, ...outputs)) {
    const operator = findOperator(node.domain, node.opType);
    const kind = operator?.gradient.kind ?? 'none';
    const isSeen = node.inputs.some((value) => value !== undefined && seen.has(value));
    const isLearned = node.inputs.some((value) => value !== undefined && learned.has(value));
    const own = weightInputs[node.opType];
    const through = new Map<Value, Path>();
    node.inputs.forEach((value, index) => {
      if (value === undefined || seen.has(value)) return;
      const sources = sourcesOf(value);
      if (sources.size === 0) return;
      if (node.domain === '' && statisticInputs[node.opType]?.includes(index) === true) {
        for (const [source] of sources) statistics.add(source);
      } else if (operator?.settings?.includes(index) === true) {
        keep(sources.keys(), { reason: `sets ${node.opType} up`, looksLikeWeight: false });
      } else if (kind === 'zero') {
        keep(sources.keys(), { reason: `${node.opType} has no gradient but zero`, looksLikeWeight: false });
      } else if (isSeen && kind === 'none' && own?.includes(index) !== true) {
        keep(sources.keys(), { reason: `no gradient goes through ${node.label}`, looksLikeWeight: true });
      } else if (!isSeen) {
        const isLayout = layoutOperators.has(node.opType) && index === 0;
        if (kind === 'rule') {
          for (const [source, path] of sources) {
            through.set(source, path.isPlain && !isLayout ? { isPlain: false, first: node } : path);
          }
        } else keep(sources.keys(), { reason: `no gradient goes through ${node.label}`, looksLikeWeight: true });
      } else {
        for (const [source, { isPlain, first }] of sources) {
          const isWeight = own?.includes(index) === true;
          const stay =
            !isWeight && !isLearned
              ? { reason: 'in front of the first layer', looksLikeWeight: source.tensor!.size > mostChannels }
              : reasonToStay({ source, node, index, isPlain, first, isWeight, stored, hasWeights });
          if (stay === undefined) parameters.add(source);
          else keep([source], stay);
        }
      }
    });
    const flows = kind !== 'zero';
    if (!flows) continue;
    for (const value of node.outputs) {
      if (value === undefined) continue;
      if (through.size > 0) made.set(value, through);
      if (isLearned || (own !== undefined && isSeen)) learned.add(value);
    }
  }
  for (const glob of trainAlso) {
    const matches = [...kept].filter(([{ name }]) => matchesGlob(name, glob));
    if (matches.length === 0 && ![...parameters].some(({ name }) => matchesGlob(name, glob))) {
      throw new LowrankError('USAGE', `--train-also '${glob}' matches no tensor that stays as it is`, {
        remedy: '--explain lists those that do',
      });
    }
    for (const [value] of matches) parameters.add(value);
  }
  for (const value of parameters) {
    kept.delete(value);
    requireFloat32(value);
  }
  for (const value of statistics) kept.delete(value);
  const both = [...statistics].find((value) => parameters.has(value));
  if (both !== undefined) {
    throw new LowrankError('UNSUPPORTED', `'${both.name}' is a weight and a running statistic at once`, {
      place: both.uses.map(({ node }) => node.label).join(', '),
      remedy: 'give every layer its own tensor with --tie never, or export the model so',
    });
  }
  const isFrozen = ({ name }: Value): boolean => freeze.some((glob) => matchesGlob(name, glob));
  const unused = freeze.find((glob) => ![...parameters].some(({ name }) => matchesGlob(name, glob)));
  if (unused !== undefined) {
    throw new LowrankError('USAGE', `--freeze '${unused}' matches no parameter`, {
      remedy: `their names are like '${[...parameters][0]?.name ?? ''}'`,
    });
  }
  const trained = inOrderOfUse(graph, outputs, parameters).filter((value) => !isFrozen(value));
  if (trained.length === 0) {
    const quantized = [...ancestors(...outputs)].find((node) => quantizedOperators.test(node.opType));
    const isQuantized = parameters.size === 0 && quantized !== undefined;
    throw new LowrankError('UNSUPPORTED', isQuantized ? 'the model is quantized' : 'the model has nothing to train', {
      place: isQuantized ? quantized.label : `output '${outputs[0]?.name ?? ''}'`,
      remedy: parameters.size > 0 ? 'freeze less' : 'give a model with float32 weights',
    });
  }
  const frozen = [...parameters].filter(isFrozen);
  return {
    parameters: trained,
    statistics: [...statistics],
    kept: [
      ...frozen.map((value) => ({ value, reason: '--freeze', looksLikeWeight: false })),
      ...Array.from(kept, ([value, { reason, looksLikeWeight }]) => ({ value, reason, looksLikeWeight })),
    ],
  };
}

/** A tensor that meets the images with more elements than these is no mean of their channels. */
const mostChannels = 4;

/** Whether the file keeps tensors of more than one element as initializers: its Constant nodes are then not its weights. */
function hasStoredWeights(graph: Graph, stored: Stored | undefined): boolean {
  return graph.initializers.some(
    ({ tensor, name }) => isFloatType(tensor!.dataType) && tensor!.size > 1 && stored?.constants.has(name) !== true,
  );
}

/** In the order in which the nodes that `outputs` need read them first. */
function inOrderOfUse(graph: Graph, outputs: readonly Value[], values: ReadonlySet<Value>): Value[] {
  const ordered = new Set<Value>();
  for (const node of sortedAncestors(graph, ...outputs)) {
    for (const value of node.inputs) if (value !== undefined && values.has(value)) ordered.add(value);
  }
  return [...ordered];
}

function requireFloat32({ name, tensor, uses }: Value): void {
  if (tensor!.dataType === FLOAT) return;
  throw new LowrankError('UNSUPPORTED', `the weight '${name}' is ${dataTypeName(tensor!.dataType)}`, {
    ...(uses[0] === undefined ? {} : { place: (uses[0].node satisfies Node).label }),
    remedy: 'training needs a float32 model: export it as float32',
  });
}
