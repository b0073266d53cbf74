import { readFileSync } from 'node:fs';
import { builtFile } from '../../built-file.js';

/** The functions of kernels.wat; addresses and leading dimensions in bytes. */
export interface Kernels {
  updateAndMultiply(a: number, lda: number, m: number, v: number, w: number, u: number, y: number): void;
  multiplyPanel(c: number, ldc: number, a: number, lda: number, panel: number, rows: number, depth: number): void;
}

/** float64 numbers where the kernels reach them. */
export interface Block {
  /** Bytes from the start of the kernels' memory; a multiple of 16. */
  readonly address: number;
  readonly data: Float64Array;
}

/** A row-major matrix where the kernels reach it: element (i, j) is data[i · stride + j]. */
export interface DenseMatrix extends Block {
  readonly rows: number;
  readonly cols: number;
  /** A multiple of 4, so that every row begins aligned and kernels may write whole groups of four columns. */
  readonly stride: number;
}

/** Memory that the kernels work in. Blocks live as long as the workspace. */
export interface Workspace {
  readonly kernels: Kernels;
  allocate(count: number): Block;
  matrix(rows: number, cols: number): DenseMatrix;
}

/** What is used of the WebAssembly namespace, which TypeScript declares only for browsers. */
interface WebAssemblyApi {
  readonly Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };
const pageBytes = 65_536;
let compiled: object | undefined;

/** Memory with kernels bound to it. */
interface Engine {
  readonly buffer: ArrayBuffer;
  readonly kernels: Kernels;
}

/** Memory up to this size is kept for the next workspace: fresh pages cost more than clearing old ones. */
const mostKept = 64 * 2 ** 20;
let kept: Engine | undefined;

/**
 * A workspace for `doubles` numbers, all zero; WebAssembly can address 4 GiB, 2²⁹ numbers. Throws RangeError beyond that.
 * The next call may take its memory: one problem at a time.
 */
export function createWorkspace(doubles: number): Workspace {
  const { buffer, kernels } = engineFor(doubles * 8);
  let next = 0;
  const allocate = (count: number): Block => {
    const address = next;
    next += Math.ceil(count / 2) * 16;
    return { address, data: new Float64Array(buffer, address, count) };
  };
  return {
    kernels,
    allocate,
    matrix: (rows, cols) => {
      const stride = padded(cols);
      return { rows, cols, stride, ...allocate(rows * stride) };
    },
  };
}

function engineFor(bytes: number): Engine {
  if (kept !== undefined && kept.buffer.byteLength >= bytes + pageBytes) {
    new Uint8Array(kept.buffer, 0, bytes).fill(0);
    return kept;
  }
  compiled ??= new WebAssembly.Module(readFileSync(builtFile('linalg/dense/kernels.wasm')));
  // Kernels write whole groups of four columns: the last may reach beyond the end, hence one more page.
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / pageBytes) + 1 });
  const { exports } = new WebAssembly.Instance(compiled, { linalg: { memory } });
  const engine = { buffer: memory.buffer, kernels: exports as Kernels };
  if (memory.buffer.byteLength <= mostKept) kept = engine;
  return engine;
}

/** The stride of rows of `cols` numbers. */
export function padded(cols: number): number {
  return Math.ceil(cols / 4) * 4;
}
