import { describe, expect, it } from 'vitest';
import { trainOptions } from '../../src/cli/train-settings.js';
import { checkTrainSettings, defaultTrainSettings, type TrainSettings } from '../../src/training/options.js';
import { presetBatch, presetNames, presetNotes, presets, withPreset } from '../../src/training/presets.js';
import { trainRanges } from '../../src/training/ranges.js';
import { optimizerNames } from '../../src/contracts/train-settings.js';

const resolved = (settings: Partial<TrainSettings>): TrainSettings => ({ ...defaultTrainSettings, ...settings });
const cases = presetNames.flatMap((name) => Object.keys(presets[name]).map((key) => [name, key] as const));

describe('presets', () => {
  it.each(presetNames)('%s is a training, with its learning rate for 256 images', (name) => {
    const settings = withPreset(name, {});
    expect(settings).toEqual({ ...presets[name], lr: (presets[name].lr! * 32) / presetBatch });
    expect(() => checkTrainSettings(resolved(settings))).not.toThrow();
    expect(withPreset(name, { batchSize: 64, accumulate: 4 }).lr).toBeCloseTo(presets[name].lr!, 12);
  });

  it.each(cases)('%s: what is given for %s wins, the default too', (name, key) => {
    const setting = key as keyof TrainSettings;
    const own = { [setting]: defaultTrainSettings[setting] };
    expect(withPreset(name, own)).toMatchObject(own);
    expect(withPreset(name, { [setting]: undefined })).toEqual(withPreset(name, {}));
  });

  it.each(cases)('%s: the option of %s has no default that would win', (_, key) => {
    expect(trainOptions).toHaveProperty(key);
    expect(trainOptions[key as keyof typeof trainOptions]).not.toHaveProperty('default');
  });

  it.each(presetNames.flatMap((name) => optimizerNames.map((optimizer) => [name, optimizer] as const)))(
    '%s with %s: what belongs to its own rule goes',
    (name, optimizer) => {
      const own = presets[name].optimizer;
      for (const more of [{}, { momentum: 0 }, { nesterov: false }, { momentum: 0, nesterov: false }]) {
        const settings = withPreset(name, { optimizer, ...more });
        expect(() => checkTrainSettings(resolved(settings))).not.toThrow();
        expect(settings).toMatchObject({ optimizer, ...more, epochs: presets[name].epochs });
      }
      const { momentum, nesterov, beta1, beta2, epsilon } = resolved(withPreset(name, { optimizer }));
      const kept = optimizer === own ? presets[name] : {};
      const rule = { momentum, nesterov, beta1, beta2, epsilon };
      expect({ ...defaultTrainSettings, ...kept }).toMatchObject(rule);
      const isTried = presets[name].lrTrials === true;
      expect(presetNotes(name, { optimizer })).toHaveLength(optimizer === own || isTried ? 0 : 1);
      expect(presetNotes(name, { optimizer, lrTrials: false })).toHaveLength(optimizer === own ? 0 : 1);
      expect(presetNotes(name, { optimizer, lr: 0.1 })).toEqual([]);
    },
  );

  it('refuses Nesterov momentum that is asked for without SGD or momentum', () => {
    for (const own of [{ optimizer: 'adam' }, { optimizer: 'rmsprop' }, { momentum: 0 }] as const) {
      const settings = withPreset('fine-tune', { ...own, nesterov: true });
      expect(() => checkTrainSettings(resolved(settings))).toThrow(/Nesterov momentum needs SGD/);
    }
    expect(withPreset('fine-tune', {}).nesterov).toBe(true);
  });
});

describe('the numbers of a training', () => {
  it.each(Object.entries(trainRanges))('%s: its ends and what is no number are refused', (name, range) => {
    const check = (value: unknown) => () => checkTrainSettings(resolved({ [name]: value }));
    const outside = 'above' in range ? range.above : range.minimum - (range.type === 'integer' ? 1 : 1e-6);
    const over =
      'below' in range ? [range.below, range.below - 1e-9] : 'maximum' in range ? [range.maximum * 1.01] : [];
    for (const value of [outside, ...over, Number.NaN, Infinity, '1', undefined]) {
      expect(check(value), `${value}`).toThrow(
        expect.objectContaining({ code: 'USAGE', fact: expect.stringContaining(`${name} is ${value}`) as string }),
      );
    }
    if (range.type === 'integer') expect(check(1.5)).toThrow(/is not a whole number/);
  });

  it('are refused where float32 makes an open end of them', () => {
    expect(() => checkTrainSettings(resolved({ ema: 0.999999999 }))).toThrow(
      /ema is 0.999999999, which is out of range/,
    );
    expect(() => checkTrainSettings(resolved({ epsilon: 1e-60, optimizer: 'adam' }))).toThrow(/epsilon is 1e-60/);
    expect(() => checkTrainSettings(resolved({ ema: 0.9999 }))).not.toThrow();
  });
});

describe('the settings of a training', () => {
  it.each([
    [{ optimizer: 'lion' }, /optimizer is "lion"; choose one of sgd, adam/],
    [{ precision: 'int8' }, /precision is "int8"/],
    [{ schedule: 'linear' }, /schedule is "linear"; choose one of cosine, step, constant/],
    [{ augment: 'flip' }, /augment is "flip"/],
    [{ device: 'tpu' }, /device is "tpu"; choose one of cpu, cuda/],
    [{ target: undefined }, /target is undefined/],
    [{ nesterov: 'false' }, /nesterov is "false"; give true or false/],
    [{ epoch: 3 }, /there is no setting 'epoch'; choose from optimizer, /],
  ])('refuses %j', (wrong, message) => {
    expect(() => checkTrainSettings({ ...defaultTrainSettings, ...(wrong as object) })).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringMatching(message) as string }),
    );
  });
});
