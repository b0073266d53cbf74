import { type Call, type OpsetRule, rules } from './rule.js';

/** Since ai.onnx 16 regions are shifted by half a pixel unless it is said that they are not. */
function withoutShift(call: Call): void {
  call.setAttribute('coordinate_transformation_mode', { type: 'string', value: 'output_half_pixel' });
}

const modes: ReadonlyMap<string, string> = new Map([
  ['bilinear', 'linear'],
  ['bicubic', 'cubic'],
]);

/** Since ai.onnx 20 images of any rank are sampled, and the modes are named so. */
function renameMode(call: Call): void {
  const mode = modes.get(call.node.string('mode', 'bilinear'));
  if (mode !== undefined) call.setAttribute('mode', { type: 'string', value: mode });
}

export const sampling: readonly OpsetRule[] = [
  ...rules({ RoiAlign: [10, 16, 22] }, { 16: withoutShift }),
  ...rules({ GridSample: [16, 20, 22] }, { 20: renameMode }),
];
