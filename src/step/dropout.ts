import { LowrankError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';

/** What lies between the last dense layer and the logits, or between a Dropout node and that layer. */
const passed: ReadonlySet<string> = new Set(['Add', 'Identity', 'Flatten', 'Reshape', 'Squeeze', 'Unsqueeze']);

/**
 * Drops the share `ratio` of what the last dense layer reads: in place of the ratio of a Dropout node that is there, or by
 * a new one. Throws UNSUPPORTED where the model does not end in a dense layer.
 */
export function setDropout(graph: Graph, logits: Value, ratio: number): void {
  const layer = backTo(logits, (node) => node.is('Gemm') || node.is('MatMul'));
  const x = layer?.inputs[0];
  if (layer === undefined || x === undefined) {
    if (ratio === 0) return;
    throw new LowrankError(
      'UNSUPPORTED',
      `a dropout of ${ratio} has no place: the model does not end in a dense layer`,
      {
        place: `output '${logits.name}'`,
        remedy: 'give --dropout 0',
      },
    );
  }
  const present = backTo(x, (node) => node.is('Dropout'));
  const name = graph.uniqueName('dropout.ratio');
  const share = graph.addInitializer(Tensor.ofFloats(name, [], Float32Array.of(ratio)));
  if (present !== undefined) {
    graph.setInput(present, 1, share);
    return;
  }
  const dropped = graph.addValue(graph.uniqueName(`${x.name}.dropped`));
  const nodeName = graph.uniqueNodeName('dropout');
  graph.addNode({ opType: 'Dropout', name: nodeName, inputs: [x, share], outputs: [dropped] }, { before: layer });
  graph.setInput(layer, 0, dropped);
}

/** The node that computes `value`, or computes what it is only another form of. */
function backTo(value: Value, isWanted: (node: Node) => boolean): Node | undefined {
  for (let next: Value | undefined = value; next?.producer !== undefined;) {
    const node: Node = next.producer;
    if (isWanted(node)) return node;
    if (!passed.has(node.opType)) return undefined;
    next = node.inputs.find((input) => input !== undefined && input.tensor === undefined);
  }
  return undefined;
}
