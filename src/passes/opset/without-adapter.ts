import { type OpsetRule, refusal, rules } from './rule.js';

/** Operators that changed their meaning and for which there is no adapter: rare in vision models. */
export const withoutAdapter: readonly OpsetRule[] = [
  ...rules(
    { GRU: [1, 3, 7, 14, 22], LSTM: [1, 7, 14, 22], RNN: [1, 7, 14, 22] },
    {
      7: refusal('its outputs were chosen by output_sequence up to ai.onnx 6'),
    },
  ),
  ...rules({ Scan: [8, 9, 11, 16, 19, 21, 23] }, { 9: refusal('it had a batch axis in ai.onnx 8') }),
  ...rules({ DFT: [17, 20] }, { 20: refusal('its axis became an input') }),
  ...rules(
    { GroupNormalization: [18, 21] },
    { 21: refusal('scale and bias are one per channel, no more one per group') },
  ),
];
