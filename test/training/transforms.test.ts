import { describe, expect, it } from 'vitest';
import { defaultTrainSettings } from '../../src/training/options.js';
import { transformsOf } from '../../src/training/transforms.js';

describe('transforms of a training', () => {
  const pad = { ...defaultTrainSettings, augment: 'pad' } as const;

  it('crop what is padded out of images that stand on a border of black, as in validation', () => {
    const { train, val } = transformsOf({ ...pad, resize: 28 }, 32, 32);
    expect(train).toMatchObject({ kind: 'padded-crop', padding: 4, resize: 28 });
    expect(val).toMatchObject({ kind: 'center-crop', resize: 28 });
  });

  it.each([{ resize: null }, { resize: 32 }, { resize: 40 }, { resize: 28, stretch: true }])(
    'fill the input with the image where %j',
    (settings) => {
      expect(transformsOf({ ...pad, ...settings }, 32, 32).train).not.toHaveProperty('resize');
    },
  );
});
