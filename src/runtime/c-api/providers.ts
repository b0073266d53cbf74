import { LowrankError } from '../../errors.js';
import { deviceError, readable } from '../failure.js';
import type { CudaOptions, SessionOptions } from '../types.js';
import type { NativeApi } from './api.js';
import { nativeStrings } from './strings.js';

/** Adds the execution provider of `options.device` to an OrtSessionOptions. Throws DEVICE where there is none. */
export function appendProvider(api: NativeApi, sessionOptions: bigint, options: SessionOptions): void {
  if (options.device === 'cuda') appendCuda(api, sessionOptions, options);
  if (options.device === 'webgpu') appendWebGpu(api, sessionOptions);
}

/** Our option → the key of `UpdateCUDAProviderOptions` and its value. */
function cudaEntries(options: CudaOptions, isCaptured: boolean): (readonly [key: string, value: string])[] {
  const flag = (value: boolean): string => (value ? '1' : '0');
  const entries: (readonly [string, string])[] = [];
  if (options.deviceId !== undefined) entries.push(['device_id', String(options.deviceId)]);
  if (options.preferNhwc !== undefined) entries.push(['prefer_nhwc', flag(options.preferNhwc)]);
  if (options.useTf32 !== undefined) entries.push(['use_tf32', flag(options.useTf32)]);
  if (options.cudnnConvAlgoSearch !== undefined) entries.push(['cudnn_conv_algo_search', options.cudnnConvAlgoSearch]);
  if (isCaptured) entries.push(['enable_cuda_graph', flag(true)]);
  if (options.gpuMemLimit !== undefined) entries.push(['gpu_mem_limit', String(options.gpuMemLimit)]);
  return entries;
}

function appendCuda(api: NativeApi, sessionOptions: bigint, options: SessionOptions): void {
  const slot = new BigUint64Array(1);
  const failure = api.attempt('CreateCUDAProviderOptions', slot);
  if (failure !== undefined) throw deviceError('cuda', failure.message);
  const cuda = slot[0] ?? 0n;
  try {
    const entries = cudaEntries(options.cuda ?? {}, options.capture === true);
    if (entries.length > 0) {
      const keys = nativeStrings(
        api,
        entries.map(([key]) => key),
      );
      const values = nativeStrings(
        api,
        entries.map(([, value]) => value),
      );
      const refused = api.attempt('UpdateCUDAProviderOptions', cuda, keys.pointers, values.pointers, entries.length);
      if (refused !== undefined) throw optionError(refused.message);
    }
    const missing = api.attempt('SessionOptionsAppendExecutionProvider_CUDA_V2', sessionOptions, cuda);
    if (missing !== undefined) throw deviceError('cuda', missing.message);
  } finally {
    api.release('ReleaseCUDAProviderOptions', cuda);
  }
}

function appendWebGpu(api: NativeApi, sessionOptions: bigint): void {
  const failure = api.attempt('SessionOptionsAppendExecutionProvider', sessionOptions, 'WebGPU', null, null, 0);
  if (failure !== undefined) throw deviceError('webgpu', failure.message);
}

/** Updating options already loads the provider: its absence is not the options' fault. */
function optionError(message: string): LowrankError {
  if (message.includes('load')) return deviceError('cuda', message);
  return new LowrankError('USAGE', `onnxruntime refuses a CUDA option: ${readable(message)}`);
}
