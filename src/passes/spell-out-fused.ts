import { float, ints } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { inputDims, type Replacement, replacementOf, spellOutEach } from './replacement.js';
import type { Pass } from './runner.js';

/**
 * What onnxruntime fuses when it optimizes a model becomes what it was made of, which is differentiated: FusedConv and FusedGemm a
 * Conv or Gemm, a sum and an activation, FusedMatMul a scaled MatMul of transposed operands (com.microsoft). For ai.onnx 13 and later.
 */
export const spellOutFused: Pass = {
  name: 'spell-out-fused',
  summary: 'layers that onnxruntime fused become what they were made of',
  run: ({ graph }, { shapes, refuse }) =>
    spellOutEach(graph, refuse, (node) => {
      const spell = node.domain === 'com.microsoft' ? spellings[node.opType] : undefined;
      if (spell === undefined) return undefined;
      const ranks = inputDims(node, shapes).map((dims) => dims?.length);
      return (
        obstacleOf(node, ranks) ??
        (() => {
          const replacement = replacementOf(graph, node, 'spelled');
          spell(graph, node, replacement, ranks as readonly number[]);
          return replacement.specs;
        })
      );
    }),
};

type Spelling = (graph: Graph, node: Node, replacement: Replacement, ranks: readonly number[]) => void;

const spellings: Readonly<Record<string, Spelling>> = {
  FusedConv: (graph, node, { emit }) => {
    const [x, w, bias, sum] = node.inputs;
    const inputs = [x!, w!, ...(bias === undefined ? [] : [bias])];
    let value = emit('Conv', inputs, without(node, /^activation/));
    if (sum !== undefined) value = emit('Add', [value, sum]);
    activate(graph, node, emit, value, node.floats('activation_params') ?? []);
  },
  FusedGemm: (graph, node, { emit }) => {
    const inputs = node.inputs.filter((value) => value !== undefined);
    const value = emit('Gemm', inputs, without(node, /^activation/));
    const parameters = ['activation_alpha', 'activation_beta', 'activation_gamma'].map((name) => node.float(name, NaN));
    const given = parameters.filter((parameter) => !Number.isNaN(parameter));
    activate(graph, node, emit, value, given);
  },
  FusedMatMul: (graph, node, { emit }, ranks) => {
    const operands = ['transA', 'transB'].map((name, at) => {
      const rank = ranks[at]!;
      if (node.int(name, 0) === 0 || rank < 2) return node.inputs[at]!;
      const order = Array.from({ length: rank }, (_, axis) => axis);
      return emit('Transpose', [node.inputs[at]!], { perm: ints([...order.slice(0, -2), rank - 1, rank - 2]) });
    });
    const alpha = node.float('alpha', 1);
    if (alpha === 1) emit('MatMul', operands, {}, node.outputs[0]);
    else emit('Mul', [emit('MatMul', operands), scalar(graph, node, 'alpha', alpha)], {}, node.outputs[0]);
  },
};

/** Activations by the names that the operators give them, with how many numbers each takes. */
const activations: Readonly<Record<string, number>> = {
  ...{ Relu: 0, Tanh: 0, Sigmoid: 0, LeakyRelu: 1, Clip: 2, HardSigmoid: 2 },
};

function obstacleOf(node: Node, ranks: readonly (number | undefined)[]): string | undefined {
  const activation = node.string('activation', '');
  if (activation !== '' && !Object.hasOwn(activations, activation)) return `it ends in ${activation}`;
  if (node.opType !== 'FusedMatMul') return undefined;
  if (node.int('transBatchA', 0) !== 0 || node.int('transBatchB', 0) !== 0) return 'it transposes batches';
  return ranks.includes(undefined) ? 'its ranks are not known' : undefined;
}

/** The activation, whose result is that of the node. */
function activate(
  graph: Graph,
  node: Node,
  emit: Replacement['emit'],
  value: Value,
  [first, second]: readonly number[],
): void {
  const name = node.string('activation', '');
  const output = node.outputs[0];
  switch (name) {
    case '':
      emit('Identity', [value], {}, output);
      return;
    case 'LeakyRelu':
      emit(name, [value], first === undefined ? {} : { alpha: float(first) }, output);
      return;
    case 'HardSigmoid':
      emit(name, [value], first === undefined ? {} : { alpha: float(first), beta: float(second ?? 0.5) }, output);
      return;
    case 'Clip': {
      const limits = [first, second].flatMap((limit, at) =>
        limit === undefined ? [] : [scalar(graph, node, at === 0 ? 'min' : 'max', limit)],
      );
      emit(name, [value, ...limits], {}, output);
      return;
    }
    default:
      emit(name, [value], {}, output);
  }
}

function scalar(graph: Graph, node: Node, name: string, value: number): Value {
  return graph.addInitializer(Tensor.ofFloats(graph.uniqueName(`${node.id}.${name}`), [], Float32Array.of(value)));
}

function without(node: Node, names: RegExp): NodeSpec['attributes'] {
  return Object.fromEntries([...node.attributes].filter(([name]) => !names.test(name)));
}
