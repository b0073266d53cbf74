import { afterEach, describe, expect, it, vi } from 'vitest';
import { readable } from '../../src/runtime/failure.js';
import { explainNvidia, type NvidiaDriver, readNvidia } from '../../src/runtime/nvidia.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

const gpu = { name: 'NVIDIA H200', bytes: 150e9, capability: '9.0' };
const good: NvidiaDriver = { cuda: { major: 13, minor: 0 }, gpus: [gpu, gpu], failure: undefined };

describe('what of the NVIDIA driver stands in the way', () => {
  it('nothing, where it is new enough and shows the GPU', () => {
    expect(explainNvidia(good, 13)).toBeUndefined();
    expect(explainNvidia(good, 12, 1)).toBeUndefined();
    expect(explainNvidia({ ...good, cuda: undefined }, undefined)).toBeUndefined();
  });

  it.each<readonly [string, Partial<NvidiaDriver>, number, string | undefined, string, string]>([
    [
      'too old',
      { cuda: { major: 12, minor: 4 } },
      0,
      undefined,
      'runs CUDA up to 12.4, and this onnxruntime needs CUDA 13',
      'CUDA 12',
    ],
    [
      'hidden',
      { gpus: [], failure: 'CUDA_ERROR_NO_DEVICE' },
      0,
      '',
      "shows no GPU (CUDA_VISIBLE_DEVICES is '')",
      'unset it',
    ],
    ['out of range', { gpus: [] }, 0, '7', "shows no GPU (CUDA_VISIBLE_DEVICES is '7')", 'from 0 on'],
    [
      'broken',
      { gpus: [], failure: 'CUDA_ERROR_UNKNOWN' },
      0,
      undefined,
      'does not start: CUDA_ERROR_UNKNOWN',
      'nvidia-smi',
    ],
    ['no such GPU', {}, 3, undefined, 'there is no GPU 3: the NVIDIA driver shows 2', 'from 0 to 1'],
  ])('%s', (_, change, wanted, visible, fact, remedy) => {
    vi.stubEnv('CUDA_VISIBLE_DEVICES', visible);
    const problem = explainNvidia({ ...good, ...change }, 13, wanted);
    expect(problem?.fact).toContain(fact);
    expect(problem?.remedy).toContain(remedy);
  });

  it('a library that is not there is no driver', async () => {
    expect(await readNvidia('libcuda-of-nowhere.so.1')).toBeUndefined();
  });
});

it("onnxruntime's messages of CUDA lose the machine and the source", () => {
  // As onnxruntime-gpu 1.30.0 gave it on a machine without a GPU.
  const type =
    'std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, SUCCTYPE, const char*, const char*, int) [with ERRTYPE = cudaError; bool THRW = true; SUCCTYPE = cudaError; std::conditional_t<THRW, void, common::Status> = void]';
  const file = '/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_';
  const message = `${file}call.cc:154 ${type} ${file}call.cc:146 ${type} CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=somewhere ; file=${file}execution_provider.cc ; line=352 ; expr=cudaSetDevice(info_.device_id); \n\n`;
  expect(readable(message)).toBe(
    'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version (cudaSetDevice)',
  );
});
