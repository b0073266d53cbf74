import { isOnDevice, type Operand, type RealMatrix } from './operand.js';
import type { SvdTask } from './svd-task.js';
import { mirrorLower } from './transpose.js';

/** Rows from which a product is cut into more strips: each saves work and costs a call. */
const stripRows = 128;
const mostStrips = 4;

export interface GramOptions {
  /** Multiply in float64 whatever the type of X. */
  readonly inFloat64?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The lower triangle of G ← X Xᵀ, on the CPU strip by strip: 5/8 of the work of the whole product. The rest of G is of no
 * use.
 */
export async function lowerGram(
  { products, scratch }: Pick<SvdTask, 'products' | 'scratch'>,
  x: Operand,
  gram: RealMatrix,
  options: GramOptions = {},
): Promise<void> {
  if (isOnDevice(x)) {
    await products.multiply(x, x, gram, { transposeB: true, ...options });
    return;
  }
  const { rows, cols } = x;
  const strips = Math.max(1, Math.min(mostStrips, Math.floor(rows / stripRows)));
  const rowsOf = (from: number, to: number): RealMatrix => ({
    rows: to - from,
    cols,
    data: x.data.subarray(from * cols, to * cols),
  });
  for (let strip = 0; strip < strips; strip++) {
    const from = Math.floor((strip * rows) / strips);
    const to = Math.floor(((strip + 1) * rows) / strips);
    const part = gram.data instanceof Float64Array ? scratch.take64(to - from, to) : scratch.take32(to - from, to);
    await products.multiply(rowsOf(from, to), rowsOf(0, to), part, { transposeB: true, ...options });
    for (let i = from; i < to; i++) {
      gram.data.set(part.data.subarray((i - from) * to, (i - from + 1) * to), i * rows);
    }
    scratch.give(part);
  }
}

/** G ← X Xᵀ, all of it, where X lies. */
export async function wholeGram(
  task: Pick<SvdTask, 'products' | 'scratch'>,
  x: Operand,
  gram: Operand,
  options: GramOptions = {},
): Promise<void> {
  if (isOnDevice(gram)) {
    await task.products.multiply(x, x, gram, { transposeB: true, ...options });
    return;
  }
  await lowerGram(task, x, gram, options);
  mirrorLower(gram.data, gram.rows);
}
