import type { Node } from '../../graph/node.js';
import { dataTypeName } from '../../onnx/data-type.js';

/** TensorProto.DataType calls two types otherwise than this project. */
const renamed: ReadonlyMap<string, string> = new Map([
  ['FLOAT', 'float32'],
  ['DOUBLE', 'float64'],
]);
/** COMPLEX128: the last type that ai.onnx 5 knew. */
const lastCode = 15;

/** The element type that a Cast makes: `to` is a code since ai.onnx 6 and a name, "FLOAT", before. */
export function castTarget(node: Node): number | undefined {
  const to = node.attributes.get('to');
  if (to?.type !== 'string') return node.int('to');
  const name = renamed.get(to.value) ?? to.value.toLowerCase();
  return Array.from({ length: lastCode }, (_, i) => i + 1).find((code) => dataTypeName(code) === name);
}
