import { afterEach, describe, expect, it, vi } from 'vitest';
import { ModelProto } from '../../src/onnx/proto.js';
import { diagnose } from '../../src/runtime/diagnose.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { tinyModel } from '../../src/runtime/tiny-model.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('diagnose', () => {
  it('has one line for each thing, and a remedy wherever something is missing', async () => {
    const start = performance.now();
    const lines = await diagnose();
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(lines.map(({ name }) => name)).toEqual([
      'Node',
      'cores',
      'memory',
      'onnxruntime',
      'driver',
      'execution providers',
      'NVIDIA driver',
      'CUDA',
      'WebGPU',
    ]);
    for (const { status, fact, remedy } of lines) {
      expect(fact).not.toMatch(/[\r\n]/);
      if (status === 'missing') expect(remedy).toMatch(/\w/);
    }
    const { version, library } = await loadDriver();
    expect(lines).toContainEqual({ name: 'onnxruntime', status: 'ok', fact: `${version} runs a model; ${library}` });
  });

  it('says why where onnxruntime cannot be loaded, and does not throw', async () => {
    vi.stubEnv('LOWRANK_ORT_LIB', '/nowhere/at/all');
    const lines = await diagnose();
    expect(lines.at(-1)).toMatchObject({ name: 'onnxruntime', status: 'missing' });
    expect(lines.at(-1)?.fact).toContain('/nowhere/at/all');
  });

  it('its tiny model is an ONNX model that adds x to itself', () => {
    expect(ModelProto.decode(tinyModel())).toMatchObject({
      graph: {
        name: 'tiny',
        node: [{ op_type: 'Add', input: ['x', 'x'], output: ['y'] }],
        input: [{ name: 'x', type: { tensor_type: { elem_type: 1 } } }],
        output: [{ name: 'y', type: { tensor_type: { elem_type: 1 } } }],
      },
    });
  });
});
