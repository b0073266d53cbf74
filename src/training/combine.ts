import type { RuntimeTensor, Session } from '../runtime/types.js';
import { buildCombineGraph } from '../step/combine-graph.js';
import type { Vector } from './training-memory.js';

/** result ← a·x + b·y, where `result` may be x or y. Throws RUNTIME. */
export type Combine = (x: Vector, y: Vector, a: number, b: number, result: Vector) => Promise<void>;

const scalar = (value: number): RuntimeTensor => ({ type: 'float32', dims: [], data: Float32Array.of(value) });

/** One session, which `open` gives, for each length. */
export function combiner(open: (graph: Uint8Array) => Promise<Session>): Combine {
  const sessions = new Map<number, Promise<Session>>();
  return async (x, y, a, b, result) => {
    let session = sessions.get(x.length);
    if (session === undefined) sessions.set(x.length, (session = open(buildCombineGraph(x.length).bytes())));
    const binding = (await session).bind();
    try {
      binding.bindInput('x', x.tensor);
      binding.bindInput('y', y.tensor);
      binding.bindInput('a', scalar(a));
      binding.bindInput('b', scalar(b));
      binding.bindOutput('result', result.tensor);
      await binding.run();
    } finally {
      binding.close();
    }
  };
}
