import { describe, expect, it } from 'vitest';
import { modelBytes } from '../../src/graph/write.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../src/runtime/types.js';
import { blocksOf } from '../../src/step/blocks.js';
import { cutModel } from '../../src/step/cut-model.js';
import { prepareMatching } from '../../src/step/prepare-matching.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { hasShared, modelPath } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { expectRightGradients, normal } from '../train/support/loss-of.js';

const driver = await loadDriver();
const settings = defaultGraphSettings;
const match = { match: 'auto', matchTensors: null, temperature: 1, labelWeight: 0, batchNorm: 'frozen' } as const;
const prepare = (student: Uint8Array | string, teacher: Uint8Array | string) =>
  prepareMatching(student, teacher, { settings, match });
const tiny = () => prepare(tinyClassifier({ seed: 2 }), tinyClassifier({ seed: 1 }));

async function run(part: ReturnType<typeof cutModel>, images: RuntimeTensor): Promise<readonly RuntimeTensor[]> {
  const session = await driver.createSession(modelBytes(part.model));
  const results = await session.run({ [part.images.name]: images });
  await session.close();
  return part.outputs.map(({ name }) => results[name]!);
}

describe('the blocks of a model and its teacher', () => {
  it('end at residual sums, and share the parameters out', () => {
    const prepared = tiny();
    const blocks = blocksOf(prepared);
    expect(blocks.map(({ name }) => name)).toEqual(['block1.relu', 'y']);
    const names = blocks.flatMap(({ student }) => student.parameters.map(({ name }) => name));
    expect(names).toEqual(prepared.parameters.map(({ name }) => name));
  });

  const wholes: readonly (readonly [string, () => ReturnType<typeof prepare>, number])[] = [
    ['a residual network', tiny, 2],
    ...(hasShared
      ? (
          [
            ['cifar10-resnet20-pt1.6-op9-bn.onnx', 9],
            ['st-efficientnet-lc-flowers5.onnx', 18],
            ['resnet50v2-stages1to3-imagenette10.onnx', 13],
          ] as const
        ).map(([file, count]) => [file, () => prepare(modelPath(file), modelPath(file)), count] as const)
      : []),
  ];
  it.each(wholes)('compute, one behind the other, what the teacher does: %s', async (_, open, count) => {
    const prepared = open();
    const { teacher, matching } = prepared;
    const blocks = blocksOf(prepared);
    expect(blocks.length).toBe(count);
    const dims = [2, ...prepared.imageDims];
    const images: RuntimeTensor = {
      type: 'float32',
      dims,
      data: normal(
        'images',
        dims.reduce((a, b) => a * b),
      ),
    };
    const [whole] = await run(cutModel(teacher, teacher.images, [matching.classes!.teacher]), images);
    let value = images;
    for (const block of blocks) [value] = (await run(block.teacher, value)) as [RuntimeTensor];
    const wanted = whole!.data as Float32Array;
    (value.data as Float32Array).forEach((each, i) => expect(each).toBeCloseTo(wanted[i]!, 3));
  });

  it('are one block where nothing in between is in both', () => {
    const prepared = prepare(tinyClassifier({ seed: 2 }), tinyClassifier({ seed: 1, hasNormalization: false }));
    expect(blocksOf(prepared).length).toBeGreaterThan(0);
  });

  it.each([0, 1])('have gradients that are those of differences: %s', async (index) => {
    await expectRightGradients(driver, blocksOf(tiny())[index]!.student);
    await expectRightGradients(driver, blocksOf(tiny())[index]!.student, { target: 'cpu' });
  });
});
