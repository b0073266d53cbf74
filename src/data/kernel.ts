import { readFileSync } from 'node:fs';
import { builtFile } from '../built-file.js';

/** What is used of the WebAssembly namespace, which TypeScript declares only for browsers. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };

/** What every kernel exports: the memory that its arguments are addresses of. */
export interface KernelMemory {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
}

const pageSize = 65_536;

/** An instance of the kernel that the build made of `<name>.wat`, with a memory of its own. */
export function loadKernel(name: string): KernelMemory {
  const module = new WebAssembly.Module(readFileSync(builtFile(`data/${name}.wasm`)));
  return new WebAssembly.Instance(module).exports as KernelMemory;
}

/** The memory's bytes, at least `size` of them. A view of before may be detached. */
export function roomOf({ memory }: KernelMemory, size: number): Uint8Array {
  const missing = size - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / pageSize));
  return new Uint8Array(memory.buffer);
}
