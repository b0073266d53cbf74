import { backward, type TapeEntry } from '../../autodiff/backward.js';
import { noFlow } from '../../ops/gradient.js';
import { emitTraining } from '../../autodiff/copy-forward.js';
import type { BuildForward, ForwardSource, TrainingForward } from '../../autodiff/forward.js';
import { nodeEntry } from '../../autodiff/node-entry.js';
import { sortedAncestors } from '../../graph/ancestors.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import type { BatchStatistics } from '../../ops/training.js';
import { addGradients, type Gradient, whole } from './gradient.js';
import { rules } from './index.js';
import type { LowerContext, LowerOptions, Lowering, MatchContext } from './rule.js';
import { LayoutTable } from './values.js';

/**
 * The forward pass of a training step for CPUs, with activations as [C, H, W, N]: a convolution is then one product of two
 * matrices, a shift moves blocks of N, BatchNormalization reduces contiguous rows. Operators without a rule here are
 * emitted in the model's layout, between transpositions. For a fixed batch only.
 */
export function lowerForwardFor(options: LowerOptions): BuildForward {
  return (e, source, bindings) => lower(e, source, bindings, options);
}

function lower(
  e: Emitter,
  source: ForwardSource,
  bindings: ReadonlyMap<Value, Value>,
  options: LowerOptions,
): TrainingForward {
  const tape: TapeEntry<Value, Gradient>[] = [];
  const statistics = new Map<Node, BatchStatistics>();
  const values = new LayoutTable(e, (entry) => void tape.push({ ...entry, isDifferentiable: true }));
  for (const [value, bound] of bindings) values.define(value, bound, 'model');
  const { points = [] } = source;
  const nodes = sortedAncestors(source.graph, ...source.outputs, ...points);
  const needed = new Set(nodes);
  const ends = new Set([...source.outputs, ...points]);
  const context: LowerContext = {
    source,
    e,
    options,
    dims: (value) => source.shapes.require(value).dims,
    isReadOnce: (value) =>
      !value.isOutput && !ends.has(value) && value.uses.filter(({ node }) => needed.has(node)).length === 1,
    layoutOf: (value) => values.layoutOf(value),
    inModel: (value) => values.get(value, 'model'),
    batchLast: (value) => values.get(value, 'batch-last'),
    define: (value, result, layout) => values.define(value, result, layout),
    record: (entry) => void tape.push({ ...entry, isDifferentiable: true }),
    recordNodes: (emit) => {
      const first = e.graph.nodes.length;
      const result = emit();
      for (const node of e.graph.nodes.slice(first)) tape.push(plainEntry(e, node));
      return result;
    },
    addStatistics: (node, seen) => void statistics.set(node, seen),
  };
  const plan = planLowerings(nodes, context);
  for (const node of nodes) plan.get(node)?.emit(context);
  return {
    outputs: source.outputs.map((value) => context.inModel(value)),
    points: points.map((value) => (context.dims(value).length > 3 ? context.batchLast(value) : context.inModel(value))),
    // Absorbed nodes are emitted late: the order is that of the model.
    statistics: nodes.flatMap((node) => statistics.get(node) ?? []),
    backward: (begin, wanted) => {
      const seeds = new Map([...begin].map(([value, gradient]) => [value, { value: gradient }]));
      const gradients = backward(tape, seeds, wanted, (a, b) => addGradients(e, a, b));
      return new Map([...gradients].map(([value, result]) => [value, whole(e, result, value)]));
    },
  };
}

/** What becomes of each node that is not absorbed by another. Later nodes choose first: patterns end in them. */
function planLowerings(nodes: readonly Node[], context: MatchContext): ReadonlyMap<Node, Lowering> {
  const plan = new Map<Node, Lowering>();
  const absorbed = new Set<Node>();
  for (const node of nodes.toReversed()) {
    if (absorbed.has(node)) continue;
    const lowering = firstMatch(node, context);
    for (const inner of lowering.absorbs ?? []) absorbed.add(inner);
    plan.set(node, lowering);
  }
  return plan;
}

function firstMatch(node: Node, context: MatchContext): Lowering {
  for (const rule of rules) {
    const lowering = rule(node, context);
    if (lowering !== undefined) return lowering;
  }
  return { emit: (at) => emitAsItIs(node, at) };
}

/** In the model's layout, with the gradient of its operator. */
function emitAsItIs(node: Node, context: LowerContext): void {
  const { e, source } = context;
  const inputs = node.inputs.map((value) => (value === undefined ? undefined : context.inModel(value)));
  const outputs = context.recordNodes(() => {
    const statistics: BatchStatistics[] = [];
    const results = emitTraining(e, node, inputs, source.masks ?? (() => undefined), statistics);
    statistics.forEach((seen) => context.addStatistics(node, seen));
    return results;
  });
  node.outputs.forEach((value, i) => {
    const output = outputs[i];
    if (value !== undefined && output !== undefined) context.define(value, output, 'model');
  });
}

function plainEntry(e: Emitter, node: Node): TapeEntry<Value, Gradient> {
  const entry = nodeEntry(e, node);
  return {
    ...entry,
    backward: (gradients, needs) => {
      const incoming = gradients.map((gradient, i) =>
        gradient === undefined ? undefined : whole(e, gradient, entry.outputs[i]!),
      );
      const outgoing = entry.backward(incoming, needs);
      return outgoing.map((value) => (value === undefined || value === noFlow ? value : { value }));
    },
  };
}
