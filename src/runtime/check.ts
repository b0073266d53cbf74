import { LowrankError } from '../errors.js';
import { ELEMENT_TYPES, elementCount } from './element-type.js';
import type { BoundTensor, DeviceTensor, ElementType, RuntimeTensor, SessionOptions, ValueInfo } from './types.js';

/** A value of a session that tensors can be fed to or read from. */
export interface TensorInfo extends ValueInfo {
  readonly type: ElementType;
}

/** A tensor for an input. */
export interface Feed {
  readonly info: TensorInfo;
  readonly tensor: RuntimeTensor;
}

/** "[?, 3, 224, 224]"; "?" is an open dimension. */
function formatDims(dims: readonly number[]): string {
  return `[${dims.map((dim) => (dim < 0 ? '?' : dim)).join(', ')}]`;
}

function names(values: readonly ValueInfo[]): string {
  return values.map((value) => `'${value.name}'`).join(', ');
}

/** The input or output called `name`. Throws RUNTIME where there is none, UNSUPPORTED where it is not a plain tensor. */
export function findValue(kind: 'input' | 'output', values: readonly ValueInfo[], name: string): TensorInfo {
  const value = values.find((candidate) => candidate.name === name);
  if (value === undefined) {
    throw new LowrankError('RUNTIME', `the model has no ${kind} '${name}'`, {
      remedy: `its ${kind}s are ${names(values)}`,
    });
  }
  if (value.type === 'string' || value.type === 'other') {
    const what = value.type === 'string' ? 'a string tensor' : 'not a dense tensor of a number type';
    throw new LowrankError('UNSUPPORTED', `${kind} '${name}' is ${what}`, {
      remedy: `choose other ${kind}s, or cut it off the model`,
    });
  }
  return value as TensorInfo;
}

/** Throws RUNTIME unless `dims` are sizes. */
export function checkDims(dims: readonly number[], place?: string): void {
  if (dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) return;
  throw new LowrankError(
    'RUNTIME',
    `shape ${formatDims(dims)} holds something that is not a size`,
    place === undefined ? {} : { place },
  );
}

/** Throws RUNTIME unless the array of a tensor is one of its type, with as many elements as its dims say. */
export function checkData(tensor: RuntimeTensor, place: string): void {
  const { array } = ELEMENT_TYPES[tensor.type];
  if (!(tensor.data instanceof array)) {
    const fact = `the data of a ${tensor.type} tensor is a ${tensor.data.constructor.name}, not a ${array.name}`;
    throw new LowrankError('RUNTIME', fact, { place });
  }
  checkDims(tensor.dims, place);
  const count = elementCount(tensor.dims);
  if (count === tensor.data.length) return;
  const fact = `shape ${formatDims(tensor.dims)} has ${count} elements, the array ${tensor.data.length}`;
  throw new LowrankError('RUNTIME', fact, { place });
}

/** Whether a tensor lies in the memory of a device, where JavaScript has no array of it. */
export function isOnDevice(tensor: BoundTensor): tensor is DeviceTensor {
  return 'location' in tensor;
}

/** Throws RUNTIME unless `tensor` is well formed and of the type, rank and fixed dimensions that `info` declares. */
export function checkTensor(kind: 'input' | 'output', info: TensorInfo, tensor: BoundTensor): void {
  const place = `${kind} '${info.name}'`;
  const fail = (fact: string): never => {
    throw new LowrankError('RUNTIME', fact, { place });
  };
  if (tensor.type !== info.type) fail(`element type is ${tensor.type}, the model needs ${info.type}`);
  if (!isOnDevice(tensor)) checkData(tensor, place);
  else if (tensor.isClosed) fail('the tensor is closed');
  // A declared rank of 0 also means "no shape declared"; onnxruntime does not check it either.
  const declared = info.dims;
  if (declared.length === 0) return;
  const isFitting =
    declared.length === tensor.dims.length && declared.every((dim, axis) => dim < 0 || dim === tensor.dims[axis]);
  if (!isFitting) fail(`shape is ${formatDims(tensor.dims)}, the model needs ${formatDims(declared)}`);
}

/** The feeds in the order of `inputs`, each checked. Throws RUNTIME where one is missing or unknown. */
export function checkFeeds(inputs: readonly ValueInfo[], feeds: Readonly<Record<string, RuntimeTensor>>): Feed[] {
  for (const name of Object.keys(feeds)) findValue('input', inputs, name);
  return inputs.map(({ name }) => {
    const tensor = feeds[name];
    if (tensor === undefined) throw missingInput(inputs, name);
    const info = findValue('input', inputs, name);
    checkTensor('input', info, tensor);
    return { info, tensor };
  });
}

export function missingInput(inputs: readonly ValueInfo[], name: string): LowrankError {
  return new LowrankError('RUNTIME', `input '${name}' is missing`, { remedy: `the model needs ${names(inputs)}` });
}

/** The outputs to compute, without repeats; all where `wanted` is undefined. */
export function checkOutputs(outputs: readonly ValueInfo[], wanted: readonly string[] | undefined): TensorInfo[] {
  const chosen = wanted === undefined ? outputs.map((output) => output.name) : [...new Set(wanted)];
  if (chosen.length === 0) throw new LowrankError('RUNTIME', 'no output is asked for');
  return chosen.map((name) => findValue('output', outputs, name));
}

/** Throws USAGE for settings no driver can satisfy. */
export function checkSessionOptions(options: SessionOptions): void {
  const { threads } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 4096)) {
    throw new LowrankError('USAGE', `threads is ${threads}`, { remedy: 'give a whole number from 1 to 4096' });
  }
  if (options.cuda !== undefined && options.device !== 'cuda') {
    throw new LowrankError('USAGE', `cuda options are given for device '${options.device ?? 'cpu'}'`);
  }
}

/** The error of every method of a closed session, binding or tensor. */
export function closedError(what: 'session' | 'binding' | 'tensor'): LowrankError {
  return new LowrankError('RUNTIME', `the ${what} is closed`);
}
