/**
 * The functions of onnxruntime's C API that we call: their position in `struct OrtApi` (append-only: a position never
 * changes) and their C prototype. Source: onnxruntime_c_api.h of 1.30. Every object is an opaque pointer; `path` is
 * ORTCHAR_T: wchar_t on Windows, char elsewhere.
 */
export const API_FUNCTIONS = {
  GetErrorCode: [1, 'int (const void *status)'],
  GetErrorMessage: [2, 'const char *(const void *status)'],
  CreateEnv: [3, 'void *(int severity, const char *logId, void *env)'],
  CreateSession: [7, 'void *(void *env, path model, void *options, void *session)'],
  CreateSessionFromArray: [8, 'void *(void *env, void *bytes, size_t length, void *options, void *session)'],
  Run: [
    9,
    'void *(void *session, void *runOptions, void *inputNames, void *inputs, size_t inputCount, void *outputNames, size_t outputCount, void *outputs)',
  ],
  CreateSessionOptions: [10, 'void *(void *options)'],
  EnableProfiling: [14, 'void *(void *options, path prefix)'],
  EnableMemPattern: [16, 'void *(void *options)'],
  DisableMemPattern: [17, 'void *(void *options)'],
  DisableCpuMemArena: [19, 'void *(void *options)'],
  SetSessionLogSeverityLevel: [22, 'void *(void *options, int severity)'],
  SetSessionGraphOptimizationLevel: [23, 'void *(void *options, int level)'],
  SetIntraOpNumThreads: [24, 'void *(void *options, int threads)'],
  SessionGetInputCount: [30, 'void *(void *session, void *count)'],
  SessionGetOutputCount: [31, 'void *(void *session, void *count)'],
  SessionGetInputTypeInfo: [33, 'void *(void *session, size_t index, void *typeInfo)'],
  SessionGetOutputTypeInfo: [34, 'void *(void *session, size_t index, void *typeInfo)'],
  SessionGetInputName: [36, 'void *(void *session, size_t index, void *allocator, void *name)'],
  SessionGetOutputName: [37, 'void *(void *session, size_t index, void *allocator, void *name)'],
  CreateRunOptions: [39, 'void *(void *runOptions)'],
  RunOptionsSetRunLogSeverityLevel: [41, 'void *(void *runOptions, int severity)'],
  RunOptionsSetTerminate: [46, 'void *(void *runOptions)'],
  CreateTensorWithDataAsOrtValue: [
    49,
    'void *(void *memoryInfo, void *data, size_t bytes, void *dims, size_t rank, int type, void *value)',
  ],
  GetTensorMutableData: [51, 'void *(void *value, void *data)'],
  CastTypeInfoToTensorInfo: [55, 'void *(void *typeInfo, void *tensorInfo)'],
  GetTensorElementType: [60, 'void *(void *tensorInfo, void *type)'],
  GetDimensionsCount: [61, 'void *(void *tensorInfo, void *rank)'],
  GetDimensions: [62, 'void *(void *tensorInfo, void *dims, size_t rank)'],
  GetTensorTypeAndShape: [65, 'void *(void *value, void *tensorInfo)'],
  CreateCpuMemoryInfo: [69, 'void *(int allocatorType, int memoryType, void *memoryInfo)'],
  AllocatorFree: [76, 'void *(void *allocator, void *memory)'],
  GetAllocatorWithDefaultOptions: [78, 'void *(void *allocator)'],
  ReleaseStatus: [93, 'void (void *status)'],
  ReleaseSession: [95, 'void (void *session)'],
  ReleaseValue: [96, 'void (void *value)'],
  ReleaseRunOptions: [97, 'void (void *runOptions)'],
  ReleaseTypeInfo: [98, 'void (void *typeInfo)'],
  ReleaseTensorTypeAndShapeInfo: [99, 'void (void *tensorInfo)'],
  ReleaseSessionOptions: [100, 'void (void *options)'],
  SessionEndProfiling: [110, 'void *(void *session, void *allocator, void *path)'],
  GetAvailableProviders: [125, 'void *(void *names, void *count)'],
  ReleaseAvailableProviders: [126, 'void *(void *names, int count)'],
  AddSessionConfigEntry: [130, 'void *(void *options, const char *key, const char *value)'],
  RunWithBinding: [133, 'void *(void *session, void *runOptions, void *binding)'],
  CreateIoBinding: [134, 'void *(void *session, void *binding)'],
  ReleaseIoBinding: [135, 'void (void *binding)'],
  BindInput: [136, 'void *(void *binding, const char *name, void *value)'],
  BindOutput: [137, 'void *(void *binding, const char *name, void *value)'],
  CreateAndRegisterAllocator: [144, 'void *(void *env, void *memoryInfo, void *arenaSettings)'],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, 'void *(void *options, void *cudaOptions)'],
  CreateCUDAProviderOptions: [205, 'void *(void *cudaOptions)'],
  UpdateCUDAProviderOptions: [206, 'void *(void *cudaOptions, void *keys, void *values, size_t count)'],
  ReleaseCUDAProviderOptions: [208, 'void (void *cudaOptions)'],
  SessionOptionsAppendExecutionProvider: [
    216,
    'void *(void *options, const char *name, void *keys, void *values, size_t count)',
  ],
} as const satisfies Readonly<Record<string, readonly [position: number, prototype: string]>>;

export type ApiName = keyof typeof API_FUNCTIONS;
/** Functions that return an OrtStatus. */
export type StatusName = Exclude<ApiName, 'GetErrorCode' | 'GetErrorMessage' | ReleaseName>;
/** Functions that return nothing. */
export type ReleaseName = Exclude<Extract<ApiName, `Release${string}`>, 'ReleaseAvailableProviders'>;
