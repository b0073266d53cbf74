import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { normal } from '../train/support/loss-of.js';

/** The model with noise on its weights. */
export function disturbed(bytes: Uint8Array, size: number): Uint8Array {
  const model = readModel(bytes);
  for (const value of model.graph.initializers.filter(({ name }) => name.endsWith('.weight'))) {
    const noise = normal(value.name, value.tensor!.size, size);
    const moved = value.tensor!.toFloat32().map((weight, i) => weight + noise[i]!);
    model.graph.setTensor(value, Tensor.ofFloats(value.name, value.tensor!.dims, moved));
  }
  return modelBytes(model);
}
