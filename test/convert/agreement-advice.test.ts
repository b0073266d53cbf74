import { describe, expect, it } from 'vitest';
import type { MeasuredAgreement } from '../../src/convert/agreement.js';
import { adviceFor } from '../../src/convert/agreement-advice.js';

const good: MeasuredAgreement = {
  data: 'synthetic',
  images: 128,
  top1: { share: 0.95, ci95: [0.9, 0.98] },
  kl: { mean: 0.02, ci95: [0.01, 0.03] },
  outputs: [{ name: 'y', relativeError: 0.05 }],
};
const facts = { input: 'model.onnx', output: 'small.onnx', sizeOption: '--macs-budget' };

describe('adviceFor', () => {
  it('says nothing where the conversion is good', () => {
    expect(adviceFor(good, facts)).toBeNull();
    // What errors of logits do to the classes is measured.
    expect(adviceFor({ ...good, outputs: [{ name: 'y', relativeError: 0.5 }] }, facts)).toBeNull();
  });

  it('names what helps where it is poor', () => {
    const all =
      'the outputs changed much: calibrate on real pictures (--calibrate photos), keep more (a larger --macs-budget) or train it towards the original (`lowrank train small.onnx --teacher model.onnx --data photos`)';
    expect(adviceFor({ ...good, top1: { share: 0.89, ci95: [0.8, 0.95] } }, facts)).toBe(all);
    expect(adviceFor({ ...good, kl: { mean: 0.11, ci95: [0.1, 0.12] } }, facts)).toBe(all);
    const poor = { ...good, data: 'photos', top1: null, kl: null, outputs: [{ name: 'y', relativeError: 0.31 }] };
    expect(adviceFor(poor, facts)).toBe(
      'the outputs changed much: keep more (a larger --macs-budget) or train it towards the original (`lowrank train small.onnx --teacher model.onnx --data photos`)',
    );
    expect(adviceFor(poor, { input: 'model.onnx', output: 'small.onnx' })).toBe(
      'the outputs changed much: train it towards the original (`lowrank train small.onnx --teacher model.onnx --data photos`)',
    );
  });
});
