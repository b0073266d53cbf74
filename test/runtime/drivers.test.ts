import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { explainCuda, probeCuda } from '../../src/runtime/cuda.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { elementCount } from '../../src/runtime/element-type.js';
import { findLibrary } from '../../src/runtime/library-path.js';
import { isLoadable } from '../../src/runtime/loader.js';
import type { RuntimeTensor, Session } from '../../src/runtime/types.js';
import { failureOf } from '../support/errors.js';
import { unaryModel } from '../support/models.js';
import { hasShared, modelPath } from '../support/shared.js';

const cudaProblem = explainCuda(await probeCuda(findLibrary()));
const hasVulkan = await isLoadable('libvulkan.so.1');
const folder = mkdtempSync(path.join(tmpdir(), 'lowrank-drivers-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  vi.unstubAllEnvs();
});

describe('loadDriver', () => {
  it('is the C API by default and gives the same driver again', async () => {
    const driver = await loadDriver();
    expect(driver.name).toBe('c-api');
    expect(driver.fallbackReason).toBeUndefined();
    expect(await loadDriver({ driver: 'auto' })).toBe(driver);
  });

  it('LOWRANK_DRIVER overrides what is asked for', async () => {
    vi.stubEnv('LOWRANK_DRIVER', 'javascript');
    expect((await loadDriver({ driver: 'c-api' })).name).toBe('javascript');
    vi.stubEnv('LOWRANK_DRIVER', 'python');
    expect((await failureOf('USAGE', () => loadDriver())).message).toContain('auto, c-api, javascript');
  });

  it('a library may be named by its file or its folder', async () => {
    const library = findLibrary();
    for (const named of [library, path.dirname(library)]) {
      const driver = await loadDriver({ library: named });
      expect(driver.library).toBe(library);
      const session = await driver.createSession(unaryModel('Neg'));
      const { y } = await session.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(2) } });
      expect(y?.data).toEqual(Float32Array.of(-2));
      await session.close();
    }
  });

  it('a library that is named and unusable is an error, not a fallback', async () => {
    vi.stubEnv('LOWRANK_ORT_LIB', path.join(folder, 'nowhere'));
    expect((await failureOf('INPUT', () => loadDriver())).message).toContain('LOWRANK_ORT_LIB');
    vi.stubEnv('LOWRANK_ORT_LIB', folder);
    expect((await failureOf('INPUT', () => loadDriver())).message).toContain('no libonnxruntime in this folder');
    const text = path.join(folder, 'libonnxruntime.so.1');
    writeFileSync(text, 'no library');
    vi.stubEnv('LOWRANK_ORT_LIB', text);
    expect((await failureOf('RUNTIME', () => loadDriver())).message).toContain('cannot load this onnxruntime library');
    await failureOf('USAGE', () => loadDriver({ driver: 'javascript' }));
  });

  it.runIf(process.platform === 'linux')('a library that is no onnxruntime is refused', async () => {
    const failure = await failureOf('RUNTIME', () => loadDriver({ library: process.execPath, driver: 'c-api' }));
    expect(failure.place).toBe(process.execPath);
  });
});

describe('devices that are missing', () => {
  it.skipIf(cudaProblem === undefined).each(['c-api', 'javascript'] as const)(
    'CUDA in driver %s names what is missing',
    async (name) => {
      const driver = await loadDriver({ driver: name });
      const failure = await failureOf('DEVICE', () => driver.createSession(unaryModel('Neg'), { device: 'cuda' }));
      expect(failure.message).toContain(
        driver.providers.includes('CUDAExecutionProvider') ? cudaProblem?.fact : 'cuda',
      );
      expect(failure.remedy).not.toBeUndefined();
    },
  );

  it.skipIf(hasVulkan || process.platform !== 'linux').each(['c-api', 'javascript'] as const)(
    'WebGPU in driver %s names what is missing',
    async (name) => {
      const driver = await loadDriver({ driver: name });
      const failure = await failureOf('DEVICE', () => driver.createSession(unaryModel('Neg'), { device: 'webgpu' }));
      expect(failure.message).toMatch(/webgpu provider|libvulkan/);
    },
  );
});

describe.skipIf(!hasShared)('real models', () => {
  const models = [
    'cifar10-resnet8-pt1.12-op13.onnx',
    'cifar10-resnet20-pt1.5-op7-initinputs.onnx',
    'cifar10-vit-pgd-pt2.0-op9.onnx',
    'ppocr-cls-mobilenetv3-paddle-op10.onnx',
    'st-efficientnet-lc-flowers5.onnx',
    'reid-seresnet-pt2.11-op18/best_model.onnx',
  ];

  /** One tensor for each input: open dimensions are 1 for the batch and 64 for sizes; values sin(i). */
  const feedsOf = (session: Session): Record<string, RuntimeTensor> =>
    Object.fromEntries(
      session.inputs.map((input) => {
        expect(input.type).toBe('float32');
        const dims = input.dims.map((dim, axis) => (dim >= 0 ? dim : axis === 0 ? 1 : 64));
        const data = Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(i));
        return [input.name, { type: 'float32', dims, data }];
      }),
    );

  it.each(models)('%s: both drivers agree to the last bit, by run and by binding', async (name) => {
    const results = await Promise.all(
      (['c-api', 'javascript'] as const).map(async (driverName) => {
        const driver = await loadDriver({ driver: driverName });
        const session = await driver.createSession(modelPath(name), { threads: 2 });
        const feeds = feedsOf(session);
        const outputs = await session.run(feeds);
        const binding = session.bind();
        const bound = Object.entries(outputs).map(([output, tensor]) => {
          const target = { ...tensor, data: new Float32Array(tensor.data.length) };
          binding.bindOutput(output, target);
          return target.data;
        });
        for (const [input, tensor] of Object.entries(feeds)) binding.bindInput(input, tensor);
        await binding.run();
        expect(bound).toEqual(Object.values(outputs).map((tensor) => tensor.data));
        await session.close();
        return { inputs: session.inputs, outputs: session.outputs, results: outputs };
      }),
    );
    const [native, javascript] = results;
    expect(javascript).toEqual(native);
    for (const { data } of Object.values(native!.results))
      expect(new Set<number | bigint>(data).size).toBeGreaterThan(1);
  });
});
