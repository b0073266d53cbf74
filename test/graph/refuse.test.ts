import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import { encodeModel } from '../../src/graph/encode.js';
import { readModel } from '../../src/graph/read.js';
import { gather } from '../../src/files/chunk.js';
import { brokenModels, oddModels } from '../support/broken.js';
import { failureOf } from '../support/errors.js';
import { hasShared, modelPath } from '../support/shared.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-refuse-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const table = <T extends { readonly name: string }>(list: readonly T[]): [string, T][] =>
  list.map((each) => [each.name, each]);

describe('refused, from a file and from bytes', () => {
  it.each(table(brokenModels))('%s', async (_, { bytes, code, message }) => {
    const path = join(folder, 'broken.onnx');
    writeFileSync(path, bytes);
    for (const input of [path, bytes]) {
      const started = performance.now();
      const error = await failureOf(code, () => {
        const model = readModel(input);
        try {
          checkModel(model);
        } finally {
          model.file?.close();
        }
      });
      expect(performance.now() - started).toBeLessThan(2000);
      expect(error.message).toMatch(message);
      expect(error.message.length).toBeLessThan(600);
    }
  });
});

describe('accepted, and written back byte for byte', () => {
  it.each(table(oddModels))('%s', (_, { bytes }) => {
    const model = readModel(bytes);
    checkModel(model);
    expect(Buffer.from(gather(encodeModel(model))).equals(bytes)).toBe(true);
  });
});

describe.skipIf(!hasShared)('the files of refuse/', () => {
  it('an HTML page says so', async () => {
    const error = await failureOf('FORMAT', () => readModel(modelPath('refuse/html-page-saved-as-mobilenet_v2.onnx')));
    expect(error.message).toMatch(/^not an ONNX file: it is a web page; .*mobilenet_v2\.onnx; download the raw file/);
  });

  it('missing external data says which file is missing, and where to put it', async () => {
    const error = await failureOf('EXTERNAL_DATA', () =>
      readModel(modelPath('refuse/resnet50-external-data-missing.onnx')),
    );
    expect(error.message).toMatch(/^external data file '.+' is missing; .*\.onnx, tensor '.+'; put it into .*refuse$/);
  });

  it.each(['cifar10-resnet8-qdq-op13', 'cifar10-tinycnn-qlinear-op18', 'imagenet-mobilenetv2-qlinear-op12'])(
    '%s is a valid model, which others refuse',
    (name) => {
      const model = readModel(modelPath(`refuse/${name}.onnx`));
      checkModel(model);
      model.file?.close();
    },
  );
});
