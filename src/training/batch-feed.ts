import { LowrankError } from '../errors.js';
import { sizeOf } from '../ops/support/layout.js';
import { ELEMENT_TYPES } from '../runtime/element-type.js';
import type { BoundTensor, DeviceTensor, ElementType, RuntimeTensor, Session, TensorData } from '../runtime/types.js';

/** An input of a batch. */
export interface BatchInput {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
}

/** The memory that batches pass through on their way to a session. */
export interface BatchFeed {
  /** Copies a batch into the memory that `tensors` gives then; those of the batch before stay as they were. */
  put(values: Readonly<Record<string, TensorData>>): Promise<void>;
  /** Of the last batch that was put in. */
  readonly tensors: ReadonlyMap<string, BoundTensor>;
  /** For the names of bindings. */
  readonly index: number;
}

/** One set of arrays, which a session on the CPU reads in place. */
export function arrayFeed(inputs: readonly BatchInput[]): BatchFeed {
  const arrays = new Map(inputs.map((input) => [input.name, arrayOf(input)]));
  return {
    tensors: arrays,
    index: 0,
    put: (values) => {
      for (const [name, { data }] of arrays) fill(data, values[name]!);
      return Promise.resolve();
    },
  };
}

/**
 * Two sets on the device: while the session works on one, the other is filled, from memory of the host that the device
 * copies from at full speed. `note` hears where there is no such memory.
 */
export function deviceFeed(inputs: readonly BatchInput[], session: Session, note: (line: string) => void): BatchFeed {
  let isNoted = false;
  const hostOf = (input: BatchInput): RuntimeTensor => {
    try {
      return session.allocateHost(input.type, input.dims);
    } catch (error) {
      if (!(error instanceof LowrankError) || error.code !== 'RUNTIME') throw error;
      if (!isNoted) note(`images are copied to the device from ordinary memory, which is slower: ${error.fact}`);
      isNoted = true;
      return arrayOf(input);
    }
  };
  const sets = [0, 1].map(
    () =>
      new Map(
        inputs.map((input): [string, { readonly host: RuntimeTensor; readonly device: DeviceTensor }] => [
          input.name,
          { host: hostOf(input), device: session.allocate(input.type, input.dims) },
        ]),
      ),
  );
  const tensors = sets.map((set) => new Map([...set].map(([name, { device }]) => [name, device])));
  let index = 0;
  return {
    get tensors() {
      return tensors[index]!;
    },
    get index() {
      return index;
    },
    put: async (values) => {
      const next = index === 0 ? 1 : 0;
      for (const [name, { host, device }] of sets[next]!) {
        fill(host.data, values[name]!);
        await device.write(host.data);
      }
      index = next;
    },
  };
}

function fill(target: TensorData, source: TensorData): void {
  (target as { set(values: TensorData): void }).set(source);
}

function arrayOf({ type, dims }: BatchInput): RuntimeTensor {
  return { type, dims, data: new ELEMENT_TYPES[type].array(sizeOf(dims)) };
}
