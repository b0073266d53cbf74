import type { Budget } from '../onnx/budget.js';
import type { ByteRange } from '../files/source.js';
import { textOf } from '../onnx/text.js';
import { fields } from '../onnx/wire.js';
import type { Attribute } from './attribute.js';
import { refuseDepth } from './nested.js';

/** Field numbers of GraphProto, NodeProto, AttributeProto that matter to names. */
const graphNode = 1;
const graphInitializer = 5;
const graphInput = 11;
const graphOutput = 12;
const graphSparse = 15;
const nodeInput = 1;
const nodeOutput = 2;
const nodeAttribute = 5;
const attributeGraphs = new Set([6, 11]);
const tensorName = 8;
/** Messages around the graph of the first body: ModelProto, GraphProto, NodeProto, AttributeProto. */
const outerDepth = 4;

/**
 * Names that the bodies of a node (If, Loop, Scan) read from outside. Names that they define are added to `reserved`.
 * Throws FORMAT where bodies nest too deep, UNSUPPORTED where the budget is spent.
 */
export function capturedNames(attributes: Iterable<Attribute>, reserved: Set<string>, budget: Budget): Set<string> {
  const captured = new Set<string>();
  for (const attribute of attributes) {
    const bodies = attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [];
    for (const body of bodies) collect(body, captured, reserved, [], outerDepth, budget);
  }
  return captured;
}

function collect(
  body: ByteRange,
  captured: Set<string>,
  reserved: Set<string>,
  outer: readonly ReadonlySet<string>[],
  depth: number,
  budget: Budget,
): void {
  refuseDepth(body, depth);
  const own = new Set<string>();
  const scopes = [...outer, own];
  const define = (name: string): void => {
    budget(1);
    own.add(name);
    reserved.add(name);
  };
  const reads: string[] = [];
  const read = (name: string): void => {
    budget(1);
    reads.push(name);
  };
  const inner: ByteRange[] = [];
  for (const [number, range] of messages(body)) {
    if (number === graphInput) define(textIn(range, 1));
    else if (number === graphInitializer) define(textIn(range, tensorName));
    else if (number === graphSparse) {
      for (const [field, values] of messages(range)) if (field === 1) define(textIn(values, tensorName));
    } else if (number === graphOutput) read(textIn(range, 1));
    else if (number === graphNode) {
      for (const [field, part] of messages(range)) {
        if (field === nodeInput) read(textOf(part));
        else if (field === nodeOutput) define(textOf(part));
        else if (field === nodeAttribute) {
          for (const [kind, graph] of messages(part)) if (attributeGraphs.has(kind)) inner.push(graph);
        }
      }
    }
  }
  for (const name of reads) if (name !== '' && !scopes.some((scope) => scope.has(name))) captured.add(name);
  for (const graph of inner) collect(graph, captured, reserved, scopes, depth + 3, budget);
}

/** The length-delimited fields of a message. */
function* messages(range: ByteRange): Generator<readonly [number, ByteRange]> {
  const { source } = range;
  for (const { number, wireType, payload, end } of fields(range)) {
    if (wireType === 2) yield [number, { source, start: payload, end }];
  }
}

function textIn(range: ByteRange, wanted: number): string {
  let found = '';
  for (const [number, part] of messages(range)) if (number === wanted) found = textOf(part);
  return found;
}
