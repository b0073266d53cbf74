import type { ByteRange } from '../files/source.js';
import { textOf } from '../onnx/text.js';
import { fields } from '../onnx/wire.js';
import { refuseDepth } from './nested.js';
import { type Node, type NodeHead, nodeFields } from './node.js';

/** Field numbers of GraphProto and AttributeProto. */
const graphNode = 1;
const attributeGraphs = new Set([6, 11]);
/** Messages around the graph of the first body: ModelProto, GraphProto, NodeProto, AttributeProto. */
const outerDepth = 4;

/** Whether a node runs graphs of its own (If, Loop, Scan). */
export function hasBody({ attributes }: Pick<Node, 'attributes'>): boolean {
  return [...attributes.values()].some(({ type }) => type === 'graph' || type === 'graphs');
}

/** Operator and name of every node in the bodies of a node (If, Loop, Scan), bodies inside bodies included. */
export function bodyNodes({ attributes }: Node): NodeHead[] {
  const heads: NodeHead[] = [];
  for (const attribute of attributes.values()) {
    const bodies = attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [];
    for (const body of bodies) collect(body, heads, outerDepth);
  }
  return heads;
}

function collect(body: ByteRange, heads: NodeHead[], depth: number): void {
  refuseDepth(body, depth);
  for (const [number, node] of messages(body)) {
    if (number !== graphNode) continue;
    let [name, opType, domain] = ['', '', ''];
    for (const [field, part] of messages(node)) {
      if (field === nodeFields.name) name = textOf(part);
      else if (field === nodeFields.opType) opType = textOf(part);
      else if (field === nodeFields.domain) domain = textOf(part);
      else if (field === nodeFields.attribute) {
        for (const [kind, graph] of messages(part)) if (attributeGraphs.has(kind)) collect(graph, heads, depth + 3);
      }
    }
    heads.push({ opType, name, domain: domain === 'ai.onnx' ? '' : domain });
  }
}

/** The length-delimited fields of a message. */
function* messages(range: ByteRange): Generator<readonly [number, ByteRange]> {
  const { source } = range;
  for (const { number, wireType, payload, end } of fields(range)) {
    if (wireType === 2) yield [number, { source, start: payload, end }];
  }
}
