import type { Attribute } from '../../graph/attribute.js';
import type { Value } from '../../graph/value.js';
import { floatsInput } from './attributes.js';
import { type Call, type OpsetRule, refusal, rules } from './rule.js';

function scalesToInput(call: Call): void {
  call.setInput(1, floatsInput(call, 'scales', call.node.floats('scales') ?? []));
  call.removeAttribute('scales');
}

/** Resize of ai.onnx 10 does what Upsample of 9 does, and shrinks too. */
function toResize(call: Call): void {
  const { name, inputs, outputs, attributes } = call.node;
  call.replace([
    {
      opType: 'Resize',
      name,
      inputs: [...inputs],
      outputs: [...outputs],
      attributes: Object.fromEntries(attributes),
    },
  ]);
}

/**
 * Resize of ai.onnx 10 takes element ⌊y⌋ of y = output index / scale where it enlarges and, as onnxruntime has it, ⌈y⌉
 * where it shrinks; linear interpolation is between the neighbours of y. Since 11 coordinates and rounding are
 * attributes: asymmetric, floor or ceil. Rounding is one for all axes, so a Resize that enlarges some and shrinks others
 * becomes two, each with scale 1 where the other works.
 */
function sayCoordinates(call: Call): void {
  const { node } = call;
  const [x, scales] = node.inputs;
  const roi = floatsInput(call, 'roi', []);
  const coordinates: Attribute = { type: 'string', value: 'asymmetric' };
  const spec = (
    from: Value | undefined,
    by: Value | undefined,
    to: Value | undefined,
    rounding: string | undefined,
  ) => ({
    opType: 'Resize',
    inputs: [from, roi, by],
    outputs: [to],
    attributes: {
      ...Object.fromEntries(node.attributes),
      coordinate_transformation_mode: coordinates,
      ...(rounding === undefined ? {} : { nearest_mode: { type: 'string', value: rounding } as const }),
    },
  });
  const [y] = node.outputs;
  const { name } = node;
  if (node.string('mode', 'nearest') !== 'nearest') {
    return call.replace([{ ...spec(x, scales, y, undefined), name }]);
  }
  const factors = call.constantOf(scales);
  if (factors === undefined) return call.refuse('whether its scales enlarge or shrink is not known before the run');
  if (factors.every((factor) => factor >= 1)) return call.replace([{ ...spec(x, scales, y, 'floor'), name }]);
  if (factors.every((factor) => factor <= 1)) return call.replace([{ ...spec(x, scales, y, 'ceil'), name }]);
  const shrink = floatsInput(
    call,
    'shrink',
    factors.map((factor) => Math.min(factor, 1)),
  );
  const enlarge = floatsInput(
    call,
    'enlarge',
    factors.map((factor) => Math.max(factor, 1)),
  );
  const between = call.value('shrunk');
  call.replace([spec(x, shrink, between, 'ceil'), { ...spec(between, enlarge, y, 'floor'), name }]);
}

/** Since ai.onnx 13 an input that does not apply is left out; before it was there and empty. */
function withoutEmptyInputs(call: Call): void {
  for (const index of [1, 2, 3]) {
    const value = call.node.inputs[index];
    if (value !== undefined && call.constantOf(value)?.length === 0) call.setInput(index, undefined);
  }
}

export const resize: readonly OpsetRule[] = [
  ...rules(
    { Upsample: [1, 7, 9, 10] },
    { 7: refusal('its form of ai.onnx 1 was an experiment'), 9: scalesToInput, 10: toResize },
  ),
  ...rules({ Resize: [10, 11, 13, 18, 19] }, { 11: sayCoordinates, 13: withoutEmptyInputs }),
];
