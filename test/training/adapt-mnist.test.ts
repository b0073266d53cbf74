import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { create } from '../../models/index.js';
import { writeModel } from '../../src/graph/write.js';
import { train } from '../../src/training/loop.js';
import { temporaryFolder } from '../support/command.js';
import { sharedFolder } from '../support/shared.js';

const mnist = join(sharedFolder, 'data', 'mnist');
const folder = temporaryFolder();
const data = join(folder, 'mnist');
const model = join(folder, 'lenet.onnx');
/** Pictures of each part. */
const counts = { train: 4000, t10k: 1000 } as const;

/** The first of the pictures of a part, as a file of the same kind. */
function part(name: keyof typeof counts, kind: 'images-idx3' | 'labels-idx1'): void {
  const whole = gunzipSync(readFileSync(join(mnist, `${name}-${kind}-ubyte.gz`)));
  const [header, each] = kind === 'images-idx3' ? [16, 28 * 28] : [8, 1];
  const bytes = Buffer.from(whole.subarray(0, header + counts[name] * each));
  bytes.writeUInt32BE(counts[name], 4);
  writeFileSync(join(data, `${name}-${kind}-ubyte`), bytes);
}

// LeNet5 has 430,500 weights and 580 biases; at so many weights it was published (docs/rank-adaptive.md).
describe.skipIf(!existsSync(mnist))('ranks that training finds, on a part of MNIST', () => {
  beforeAll(() => {
    mkdirSync(data);
    for (const name of ['train', 't10k'] as const)
      for (const kind of ['images-idx3', 'labels-idx1'] as const) part(name, kind);
    writeModel(create('lenet5_caffe'), model);
  });

  // Seeds 0, 1 and 2 gave 93.6, 93.5, 92.5 and 90.4, 91.7, 90.0 %: the floors are more than two points below the least.
  it.each([
    [78_850, 0.9],
    [29_260, 0.87],
  ])('%d weights of LeNet5: more than %d are right after two epochs', async (weights, floor) => {
    const report = await train({
      ...{ model, output: join(folder, `${weights}.onnx`), data, val: data, writes: 'last', validatesStart: false },
      settings: {
        ...{ epochs: 2, batchSize: 32, lr: 0.02, augment: 'none', mean: [0.1307], std: [0.3081], workers: 0 },
        ...{ adaptRanks: 'augmented', targetParams: (weights + 580) / 431_080, keepFirst: false },
        ...{ maxRank: 64, minRank: 1 },
      },
    });
    const { valTop1, adaptation } = report.epochs.at(-1)!;
    expect(adaptation!.params).toBeLessThanOrEqual(weights + 580);
    expect(adaptation!.params).toBeGreaterThan(0.85 * weights);
    expect(valTop1).toBeGreaterThan(floor);
  });
});
