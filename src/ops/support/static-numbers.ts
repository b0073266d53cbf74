import { dataTypeInfo } from '../../onnx/data-type.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Tensor } from '../../onnx/tensor.js';

/** The tensor that `value` is in every run: an initializer, or the `value` of a Constant node. Identity is looked through. */
export function staticTensor(value: Value): { readonly tensor: Tensor; readonly source: Value } | undefined {
  if (value.tensor !== undefined) return { tensor: value.tensor, source: value };
  const { producer } = value;
  if (producer === undefined) return undefined;
  if (producer.is('Identity') && producer.inputs[0] !== undefined) return staticTensor(producer.inputs[0]);
  const tensor = producer.is('Constant') ? producer.tensor('value') : undefined;
  return tensor === undefined ? undefined : { tensor, source: value };
}

/** Elements of a value that is the same in every run and needs no arithmetic: initializer, Constant, Identity of them. */
export function staticNumbers(value: Value | undefined): readonly number[] | undefined {
  if (value === undefined) return undefined;
  const known = staticTensor(value);
  if (known !== undefined) {
    const bits = dataTypeInfo(known.tensor.dataType)?.bits ?? 0;
    return bits >= 8 ? [...known.tensor.toNumbers()] : undefined;
  }
  const { producer } = value;
  if (producer?.is('Identity') === true) return staticNumbers(producer.inputs[0]);
  return producer?.is('Constant') === true ? constantAttribute(producer) : undefined;
}

/** Elements of a Constant node that are attributes of their own (ai.onnx 12). */
function constantAttribute(node: Node): readonly number[] | undefined {
  const int = node.int('value_int');
  const float = node.float('value_float');
  if (int !== undefined) return [int];
  if (float !== undefined) return [float];
  return node.ints('value_ints') ?? node.floats('value_floats');
}

/** Axes of Squeeze, Unsqueeze and Reduce*: an attribute up to ai.onnx 12 (Reduce* 17), then an input. */
export function staticAxes(node: Node): readonly number[] | undefined {
  return node.ints('axes') ?? staticNumbers(node.inputs[1]);
}
