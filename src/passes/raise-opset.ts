import { LowrankError } from '../errors.js';
import { bodyNodes } from '../graph/body-nodes.js';
import type { Graph } from '../graph/graph.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { ShapeTable } from '../ops/infer.js';
import { staticNumbers } from '../ops/support/static-numbers.js';
import { changeBetween, findRule } from './opset/registry.js';
import { type CallContext, callOf, cannotRaise, newestOpset } from './opset/rule.js';
import type { Pass } from './runner.js';

/** The opset of the training graphs: gradients are written in its operators. */
export const trainingOpset = 17;
/** Initializers need not be inputs since IR 4, the IR version of this opset. */
const oldestTarget = 9;

/** The IR version that came with an opset: `[opset, irVersion]`, from that opset on. */
const irVersions: readonly (readonly [number, number])[] = [
  [9, 4],
  [10, 5],
  [11, 6],
  [12, 7],
  [15, 8],
  [19, 9],
  [21, 10],
  [23, 11],
];

/** The oldest IR version that carries an opset of 9 and more (onnx/docs/Versioning.md). */
export function irVersionFor(opset: number): number {
  return irVersions.findLast(([first]) => first <= opset)![1];
}

/**
 * Writes a model of an older ai.onnx opset in the operators of `target`: the same function, inputs and outputs. One step
 * after the other, opset by opset, each node is brought into its operator's next form by the rules of `opset/`. New
 * constants are initializers named from the node. The IR version is raised to what the opset came with; initializers that
 * IR 3 lists among the inputs are no inputs any more. Models of `target` or later stay untouched, and so do nodes of other
 * domains.
 *
 * Throws UNSUPPORTED, naming the node, where an operator changed without an adapter or is not known, where a call cannot
 * be written in the new form, and where a body of If, Loop or Scan or a function of the model holds a node that changed;
 * the graph must not be used then. Throws USAGE for a target that the rules do not reach.
 */
export function raiseOpset(target: number = trainingOpset): Pass {
  if (!Number.isInteger(target) || target < oldestTarget || target > newestOpset) {
    throw new LowrankError('USAGE', `no model can be raised to opset ${target}`, {
      remedy: `choose one from ${oldestTarget} to ${newestOpset}`,
    });
  }
  return {
    name: 'raise-opset',
    summary: `the model is written in the operators of opset ${target}`,
    requires: (model) => {
      if (opsetOf(model) < target) requireRules(model, target);
    },
    run: (model, { shapes }) => {
      const from = opsetOf(model);
      if (from >= target) return 0;
      const changed = new Set<Node>();
      const context = contextOf(model, shapes, changed);
      for (let opset = from + 1; opset <= target; opset++) raiseTo(opset, context);
      model.opsets.set('', target);
      raiseIrVersion(model, target);
      // One more for the import of the opset itself.
      return model.graph.nodes.filter((node) => changed.has(node)).length + 1;
    },
  };
}

/** Everything that can be seen before the first change. */
function requireRules(model: Model, target: number): void {
  const from = opsetOf(model);
  const [first] = model.functions;
  if (first !== undefined) {
    throw new LowrankError('UNSUPPORTED', `the model defines functions of its own, such as ${first}`, {
      remedy: 'inline them, or export the model again with opset 17 or later',
    });
  }
  for (const node of model.graph.nodes) {
    for (const inner of bodyNodes(node)) {
      const change = inner.domain === '' ? changeBetween(inner.opType, from, target) : undefined;
      if (change === undefined) continue;
      throw cannotRaise(node, `its body holds ${inner.opType} '${inner.name ?? ''}', and ${change}`);
    }
    if (node.domain !== '') continue;
    const { opType } = node;
    const rule = findRule(opType);
    if (rule === undefined || rule.since > from) throw cannotRaise(node, changeBetween(opType, from, target)!);
  }
}

function contextOf({ graph }: Model, shapes: ShapeTable, changed: Set<Node>): CallContext {
  const isClosed = graph.inputs.every(
    ({ tensor, declared }) => tensor !== undefined || declared?.dims?.every((dim) => typeof dim === 'number') === true,
  );
  return {
    graph,
    typeOf: (value) => (value === undefined ? undefined : shapes.typeOf(value)),
    // What the table computed holds for one choice of the open dimensions.
    constantOf: (value) =>
      staticNumbers(value) ?? (isClosed && value !== undefined ? shapes.constantOf(value) : undefined),
    changed: (node) => void changed.add(node),
  };
}

/** One opset further: nodes whose operator has a new version there. */
function raiseTo(opset: number, context: CallContext): void {
  for (const node of [...context.graph.nodes]) {
    const step = node.domain === '' ? findRule(node.opType)?.steps[opset] : undefined;
    if (typeof step === 'function') step(callOf(node, context));
  }
}

function raiseIrVersion(model: Model, target: number): void {
  const needed = irVersionFor(target);
  if (model.irVersion >= needed) return;
  if (model.irVersion < 4) forgetInitializerInputs(model.graph);
  model.irVersion = needed;
}

/** IR 3 lists initializers among the inputs without letting callers override them; since IR 4 an input may be overridden. */
function forgetInitializerInputs(graph: Graph): void {
  for (const value of [...graph.inputs]) {
    if (value.tensor === undefined) continue;
    graph.inputs.splice(graph.inputs.indexOf(value), 1);
    value.isInput = false;
    value.declared = undefined;
    value.info = undefined;
  }
}
