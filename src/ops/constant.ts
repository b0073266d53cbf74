import { FLOAT, INT64, STRING } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { known, knownOfTensor } from './support/known.js';

/** A tensor given by an attribute: value, or value_int, value_floats … (ai.onnx 1; the latter since 12). */
export const constant: Operator = {
  opType: 'Constant',
  domain: '',
  gradient: zero,
  infer: ({ node }) => {
    const tensor = node.tensor('value');
    if (tensor !== undefined) return [knownOfTensor(tensor)];
    for (const [name, attribute] of node.attributes) {
      if (!name.startsWith('value_')) continue;
      if (attribute.type === 'int') return [known(INT64, [], [attribute.value])];
      if (attribute.type === 'float') return [known(FLOAT, [], [attribute.value])];
      if (attribute.type === 'ints') return [known(INT64, [attribute.value.length], attribute.value)];
      if (attribute.type === 'floats') return [known(FLOAT, [attribute.value.length], attribute.value)];
      if (attribute.type === 'string') return [known(STRING, [])];
      if (attribute.type === 'strings') return [known(STRING, [attribute.value.length])];
    }
    return undefined;
  },
};
