import type { Matrix } from '../../linalg/types.js';
import type { Scheme } from '../../contracts/convert.js';
import type { Geometry } from '../../rewrite/geometry.js';
import type { LayerData, Moments } from './types.js';

/**
 * Where each number of a patch in the order of a scheme's matrix lies in the order (in·kh + y)·kw + x; undefined where both
 * are the same. In the spatial scheme the rows of the kernel come first: (y·in + i)·kw + x.
 */
function orderOf({ in: channels, kernel: [kh, kw] }: Geometry, scheme: Scheme): Int32Array | undefined {
  if (scheme !== 'spatial' || kh === 1) return undefined;
  const order = new Int32Array(channels * kh * kw);
  let at = 0;
  for (let y = 0; y < kh; y++) {
    for (let i = 0; i < channels; i++) for (let x = 0; x < kw; x++) order[at++] = (i * kh + y) * kw + x;
  }
  return order;
}

/** Moments in the order of a scheme's matrix. */
export function orderMoments(moments: Moments, geometry: Geometry, scheme: Scheme): Moments {
  const order = orderOf(geometry, scheme);
  if (order === undefined) return moments;
  const { count, mean, second } = moments;
  const n = order.length;
  const data = new Float64Array(n * n);
  for (let i = 0, at = 0; i < n; i++) {
    const row = order[i]! * n;
    for (let j = 0; j < n; j++, at++) data[at] = second.data[row + order[j]!]!;
  }
  return { count, mean: Float64Array.from(order, (from) => mean[from]!), second: { rows: n, cols: n, data } };
}

/** Patches, one a row, in the order of a scheme's matrix. */
export function orderPatches(patches: Matrix, geometry: Geometry, scheme: Scheme): Matrix {
  const order = orderOf(geometry, scheme);
  if (order === undefined) return patches;
  const { rows, cols, data } = patches;
  const result = new Float32Array(data.length);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++, at++) result[at] = data[row * cols + order[col]!]!;
  }
  return { rows, cols, data: result };
}

/** All that is known of a layer, in the order of a scheme's matrix. */
export function orderData(data: LayerData, geometry: Geometry, scheme: Scheme): LayerData {
  const { moments, sequential } = data;
  const ordered = { ...data, moments: orderMoments(moments, geometry, scheme) };
  if (sequential === undefined) return ordered;
  const inputs = orderPatches(sequential.samples.inputs, geometry, scheme);
  return {
    ...ordered,
    sequential: {
      moments: orderMoments(sequential.moments, geometry, scheme),
      samples: { ...sequential.samples, inputs },
    },
  };
}
