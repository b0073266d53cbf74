import { type BodyGraph, readBody } from '../graph/function.js';
import type { Model } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { ShapeTable } from '../ops/infer.js';

/**
 * Puts the branch of an If in its place where the condition is the same in every run: PyTorch exports `squeeze` as such a question
 * about a size (LocalResponseNorm has one). `shapesAt` infers the shapes for two batch sizes, by which the condition must
 * agree. Gives the number of nodes that gave way.
 */
export function foldConstantIf(model: Model, shapesAt: () => readonly ShapeTable[]): number {
  let changes = 0;
  for (;;) {
    if (!model.graph.nodes.some((node) => node.is('If'))) return changes;
    const tables = shapesAt();
    const found = model.graph.sorted().find((node) => node.is('If') && conditionOf(node, tables) !== undefined);
    if (found === undefined) return changes;
    putBranch(model, found, conditionOf(found, tables)!);
    changes++;
  }
}

function conditionOf(node: Node, tables: readonly ShapeTable[]): boolean | undefined {
  const condition = node.inputs[0];
  if (condition === undefined || branchOf(node, true) === undefined || branchOf(node, false) === undefined)
    return undefined;
  const answers = new Set(tables.map((table) => table.constantOf(condition)?.[0]));
  const [answer] = answers;
  return answers.size === 1 && answer !== undefined ? answer !== 0 : undefined;
}

function branchOf(node: Node, isThen: boolean): { readonly value: Parameters<typeof readBody>[1] } | undefined {
  const attribute = node.attributes.get(isThen ? 'then_branch' : 'else_branch');
  return attribute?.type === 'graph' ? attribute : undefined;
}

function putBranch(model: Model, node: Node, isThen: boolean): void {
  const body = readBody(model, branchOf(node, isThen)!.value);
  model.graph.replaceNode(node, () => branchNodes(model, node, body));
}

function branchNodes({ graph }: Model, node: Node, body: BodyGraph): readonly NodeSpec[] {
  const values = new Map<string, Value | undefined>([['', undefined]]);
  const own = new Set([...body.initializers.map(({ name }) => name), ...body.nodes.flatMap(({ outputs }) => outputs)]);
  // Outputs of the branch that it computes are those of the node; others are copied at the end.
  body.outputs.forEach((name, i) => {
    const isComputed = body.nodes.some(({ outputs }) => outputs.includes(name));
    if (isComputed && !values.has(name) && node.outputs[i] !== undefined) values.set(name, node.outputs[i]);
  });
  for (const tensor of body.initializers) {
    values.set(tensor.name, graph.addInitializer(tensor.renamed(graph.uniqueName(`${node.id}/${tensor.name}`))));
  }
  const valueOf = (name: string): Value | undefined => {
    if (values.has(name)) return values.get(name);
    const value = own.has(name) ? graph.addValue(graph.uniqueName(`${node.id}/${name}`)) : graph.value(name);
    values.set(name, value);
    return value;
  };
  const specs = body.nodes.map(({ opType, domain, name, inputs, outputs, attributes }): NodeSpec => ({
    opType,
    ...(domain === undefined ? {} : { domain }),
    name: graph.uniqueNodeName(`${node.id}/${(name ?? '') === '' ? (outputs[0] ?? opType) : name}`),
    inputs: inputs.map(valueOf),
    outputs: outputs.map(valueOf),
    attributes: Object.fromEntries(attributes),
  }));
  const copies = body.outputs.flatMap((name, i): NodeSpec[] => {
    const output = node.outputs[i];
    const value = valueOf(name);
    if (output === undefined || value === output) return [];
    return [
      { opType: 'Identity', name: graph.uniqueNodeName(`${node.id}/output`), inputs: [value], outputs: [output] },
    ];
  });
  return [...specs, ...copies];
}
