import type { Value } from '../../graph/value.js';

/** Names that exporters give to constants of the code: of PyTorch (both exporters), TensorFlow, Paddle, MXNet. */
const constantName =
  /(^|[/.:_])const(ant)?([/.:_\d]|$)|constant|^onnx::|^val_\d+$|^(scalar_tensor|lifted_tensor|clone|full|_to_copy)(_default)?(_\d+)?$|^(ones|zeros|arange)(_like)?_(default|\d+)$|^_?\d+$|_output_\d+$|\/[xy](:0)?$|scalar\d*(_scalar)?$/i;

/** Whether an initializer has a name that exporters give to constants of the code, not to weights. */
export function hasConstantName({ name }: Value): boolean {
  return constantName.test(name);
}
