import { int, ints } from '../../graph/attributes.js';
import { Graph } from '../../graph/graph.js';
import { newModel } from '../../graph/model.js';
import { modelBytes } from '../../graph/write.js';
import { LowrankError } from '../../errors.js';
import { FLOAT } from '../../onnx/data-type.js';
import type { Driver, RuntimeTensor } from '../../runtime/types.js';

const [blocks, side, taps] = [2, 5, 3];

/**
 * Channels per block of `com.microsoft.nchwc.Conv` on this machine, found by running a small depthwise convolution and
 * comparing it with the sums that it stands for; undefined where the runtime lacks the operator, or it computes something
 * else. Throws RUNTIME only for a broken runtime.
 */
export async function probeBlockedConv(driver: Driver): Promise<number | undefined> {
  for (const lanes of [16, 8, 4]) {
    try {
      if (await isBlockedBy(driver, lanes)) return lanes;
    } catch (error) {
      if (error instanceof LowrankError && (error.code === 'RUNTIME' || error.code === 'UNSUPPORTED')) return undefined;
      throw error;
    }
  }
  return undefined;
}

async function isBlockedBy(driver: Driver, lanes: number): Promise<boolean> {
  const channels = blocks * lanes;
  const x = numbers(channels * side * side, 7);
  const w = numbers(channels * taps * taps, 11);
  const session = await driver.createSession(probeModel(channels), { threads: 1, graphOptimization: 'disabled' });
  try {
    const tensor = (data: Float32Array, dims: readonly number[]): RuntimeTensor => ({ type: 'float32', dims, data });
    const { y } = await session.run({
      x: tensor(x, [1, channels, side, side]),
      w: tensor(w, [channels, 1, taps, taps]),
    });
    const expected = convolved(x, w, lanes);
    // The numbers are small integers: every sum is exact.
    return expected.every((value, i) => value === y!.data[i]);
  } finally {
    await session.close();
  }
}

function probeModel(channels: number): Uint8Array {
  const graph = new Graph('probe');
  const x = graph.addInput('x', { dataType: FLOAT, dims: [1, channels, side, side] });
  const w = graph.addInput('w', { dataType: FLOAT, dims: [channels, 1, taps, taps] });
  const y = graph.addValue('y');
  graph.addNode({
    opType: 'Conv',
    domain: 'com.microsoft.nchwc',
    name: 'y',
    inputs: [x, w],
    outputs: [y],
    attributes: { group: int(channels), kernel_shape: ints([taps, taps]), pads: ints([1, 1, 1, 1]) },
  });
  graph.addOutput(y, { dataType: FLOAT, dims: [1, channels, side, side] });
  const opsets = new Map([
    ['', 17],
    ['com.microsoft.nchwc', 1],
  ]);
  return modelBytes(newModel(graph, opsets, 8));
}

/** Whole numbers from −4 to 4 without a short period. */
function numbers(size: number, step: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => ((i * i * step + i) % 9) - 4);
}

/** Depthwise, padding 1: x [blocks, side, side, lanes] with w [blocks, taps, taps, lanes]. */
function convolved(x: Float32Array, w: Float32Array, lanes: number): Float32Array {
  return x.map((_, index) => {
    const lane = index % lanes;
    const column = Math.floor(index / lanes) % side;
    const row = Math.floor(index / lanes / side) % side;
    const block = Math.floor(index / lanes / side / side);
    let sum = 0;
    for (let i = 0; i < taps; i++) {
      for (let j = 0; j < taps; j++) {
        const [r, c] = [row + i - 1, column + j - 1];
        if (r < 0 || r >= side || c < 0 || c >= side) continue;
        sum += x[((block * side + r) * side + c) * lanes + lane]! * w[((block * taps + i) * taps + j) * lanes + lane]!;
      }
    }
    return sum;
  });
}
