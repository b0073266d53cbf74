import { LowrankError } from '../errors.js';
/** `--threads`, the same in every command that runs a model. */
export function threadsOption<const Group extends string>(group: Group) {
  return {
    type: 'integer',
    minimum: 1,
    group,
    placeholder: 'n',
    description: 'threads of onnxruntime (default: all cores)',
  } as const;
}

/** `--max-memory`, the same in every command that runs a model. */
export function memoryOption<const Group extends string>(group: Group) {
  return {
    type: 'integer',
    minimum: 1,
    group,
    placeholder: 'MiB',
    description: 'memory that a run of the model may need (default: that of the machine)',
  } as const;
}

/** `--verify-timeout`, in the commands that run a model to check it or to find its shapes. */
export function timeoutOption<const Group extends string>(group: Group) {
  return {
    type: 'number',
    above: 0,
    group,
    placeholder: 'seconds',
    description: 'time that a run to check the model, or to find its shapes, may take (default: 600)',
  } as const;
}

/** `--workers` and `--max-bad`: how images are decoded. */
export function decodeOptions<const Images extends string, const Running extends string>(
  images: Images,
  running: Running,
) {
  return {
    maxBad: { type: 'integer', minimum: 0, group: images, description: 'images that may be bad (default: 0)' },
    workers: {
      type: 'integer',
      minimum: 0,
      group: running,
      placeholder: 'n',
      description: 'decode threads (default: one per core, at most 4)',
    },
  } as const;
}

/** What `--micro-batch` says. Throws USAGE. */
export function microBatchOf(text: string | undefined): number | 'auto' | undefined {
  if (text === undefined || text === 'auto') return text;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new LowrankError('USAGE', `--micro-batch is '${text}'`, { remedy: 'give a whole number of images, or auto' });
}
