import { type Call, type OpsetRule, rules } from './rule.js';

/**
 * Up to ai.onnx 12 the tensor counts as a matrix, split before `axis` (default 1), and the function goes over its rows;
 * since 13 it goes along the one axis (default −1). The same where `axis` is the last; else
 * y = Reshape(f(Flatten(x, axis), −1), Shape(x)), which holds for any open dimension.
 */
function alongRows(call: Call): void {
  const { node } = call;
  const axis = node.int('axis', 1);
  const [x] = node.inputs;
  const rank = call.typeOf(x)?.dims.length;
  if (axis === -1 || axis + 1 === rank) {
    call.setAttribute('axis', { type: 'int', value: axis });
    return;
  }
  const rows = call.insert('Flatten', [x!], { axis: { type: 'int', value: axis } });
  const shape = call.insert('Shape', [x!]);
  const result = call.value('rows');
  call.replace([
    {
      opType: node.opType,
      name: node.name,
      inputs: [rows],
      outputs: [result],
      attributes: { axis: { type: 'int', value: -1 } },
    },
    { opType: 'Reshape', inputs: [result, shape], outputs: [node.outputs[0]] },
  ]);
}

export const softmax: readonly OpsetRule[] = rules(
  { Hardmax: [1, 11, 13], LogSoftmax: [1, 11, 13], Softmax: [1, 11, 13] },
  { 13: alongRows },
);
