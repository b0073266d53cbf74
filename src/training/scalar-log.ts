import type { Value } from '../graph/value.js';
import { FLOAT, INT64 } from '../onnx/data-type.js';
import type { DeviceTensor, Driver, Session, SessionOptions } from '../runtime/types.js';
import { addInput, addOutput, emitted, type EmittedGraph, startGraph } from '../step/emitted.js';
import { trainingOpset } from '../step/prepare.js';

/** Scalars that runs leave on the device, to be read together. */
export interface ScalarLog {
  /** Where the next run writes its scalar. */
  next(): DeviceTensor;
  /** Those written since the last call, in order. */
  take(): Promise<readonly number[]>;
  close(): Promise<void>;
}

const dataTypes = { float32: FLOAT, int64: INT64 } as const;

/** Emits x0, x1, … (scalars) → all [n]. */
function buildTogetherGraph(count: number, type: keyof typeof dataTypes): EmittedGraph {
  const { model, e } = startGraph('together', new Map([['', trainingOpset]]), false);
  const scalars: Value[] = Array.from({ length: count }, (_, i) => addInput(e, `x${i}`, dataTypes[type], []));
  const all = e.concat(
    scalars.map((value) => e.reshape(value, [1])),
    0,
  );
  addOutput(e, e.emit('Identity', [all], {}, { name: 'all' }));
  return emitted(model);
}

/** `owner` gives the memory; one run of a small graph reads all scalars. */
export function scalarLog(
  driver: Driver,
  options: SessionOptions,
  owner: Session,
  type: keyof typeof dataTypes,
): ScalarLog {
  const slots: DeviceTensor[] = [];
  let used = 0;
  let reader: { readonly session: Session; readonly count: number } | undefined;
  /** The graph takes every slot there is: those not used since are read in vain. */
  const open = async (): Promise<Session> => {
    if (reader?.count === slots.length) return reader.session;
    await reader?.session.close();
    const session = await driver.createSession(buildTogetherGraph(slots.length, type).bytes(), options);
    reader = { session, count: slots.length };
    return session;
  };
  return {
    next() {
      slots[used] ??= owner.allocate(type, []);
      return slots[used++]!;
    },
    async take() {
      if (used === 0) return [];
      const data = type === 'float32' ? new Float32Array(slots.length) : new BigInt64Array(slots.length);
      const binding = (await open()).bind();
      try {
        for (const [i, slot] of slots.entries()) binding.bindInput(`x${i}`, slot);
        binding.bindOutput('all', { type, dims: [slots.length], data });
        await binding.run();
      } finally {
        binding.close();
      }
      const values = Array.from(data.subarray(0, used), Number);
      used = 0;
      return values;
    },
    async close() {
      await reader?.session.close();
    },
  };
}
