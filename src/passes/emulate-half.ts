import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import { FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { isHalfType } from '../ops/precision.js';
import type { Pass } from './runner.js';

/**
 * Every float16 or bfloat16 value becomes a float32 one that is rounded to that type: for runtimes that have too few
 * operators in it (onnxruntime on CPU: none in bfloat16, and it leaves roundings to float16 out). An operator then sums in
 * float32 and rounds its result, as the kernels of a GPU do. Inputs and outputs of the graph must be of other types.
 */
export const emulateHalf: Pass = {
  name: 'emulate-half',
  summary: 'half precision is computed in float32 and rounded',
  run: ({ graph }, { shapes }) => {
    const halfOf = (value: Value | undefined): number | undefined => {
      const dataType = value === undefined ? undefined : shapes.typeOf(value)?.dataType;
      return isHalfType(dataType) ? dataType : undefined;
    };
    let changes = 0;
    for (const value of [...graph.initializers]) {
      const { tensor } = value;
      if (tensor === undefined || halfOf(value) === undefined) continue;
      graph.setTensor(value, Tensor.ofFloats(value.name, tensor.dims, tensor.toFloat32()));
      changes++;
    }
    for (const node of graph.sorted()) {
      for (const y of node.outputs) {
        const half = halfOf(y);
        if (y === undefined || half === undefined) continue;
        const rounded = graph.addValue(graph.uniqueName(`${y.name}.rounded`));
        graph.replaceUses(y, rounded);
        const cast = (x: Value, result: Value, to: number): void => {
          const { producer } = x;
          const name = graph.uniqueNodeName(result.name);
          graph.addNode(
            { opType: 'Cast', name, inputs: [x], outputs: [result], attributes: { to: int(to) } },
            { after: producer! },
          );
        };
        if (node.is('Cast')) cast(y, rounded, FLOAT);
        else {
          const narrow = graph.addValue(graph.uniqueName(`${y.name}.half`));
          cast(y, narrow, half);
          cast(narrow, rounded, FLOAT);
        }
        changes++;
      }
    }
    return changes;
  },
};
