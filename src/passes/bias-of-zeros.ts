import type { Model } from '../graph/model.js';
import { Tensor } from '../onnx/tensor.js';
import { resolveWeight } from '../ops/resolve-weight.js';

/**
 * Gives Attention (com.microsoft) without a bias one of zeros, in place: onnxruntime 1.30 ends the process where it runs it without.
 * Gives what was done, one line for the report. Where the weight is no stored one, it is left as it is.
 */
export function biasOfZeros({ graph }: Model): readonly string[] {
  const changed = graph.nodes.filter((node) => {
    if (node.domain !== 'com.microsoft' || node.opType !== 'Attention' || node.inputs[2] !== undefined) return false;
    const weight = node.inputs[1] === undefined ? undefined : resolveWeight(graph, node.inputs[1]);
    const size = weight?.dims[1];
    if (weight === undefined || size === undefined) return false;
    const zeros = Tensor.ofFloats(graph.uniqueName(`${node.id}.bias`), [size], new Float32Array(size), weight.dataType);
    graph.setInput(node, 2, graph.addInitializer(zeros));
    return true;
  });
  if (changed.length === 0) return [];
  return [`${changed.length} × Attention of onnxruntime runs with a bias of zeros: without one it ends the process`];
}
