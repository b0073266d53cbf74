// Assembles the kernels: WebAssembly text in src, its binary in dist.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import wabt from 'wabt';

const features = { simd: true };
const { parseWat } = await wabt();
for (const name of ['src/linalg/dense/kernels', 'src/data/place', 'src/data/resample']) {
  // A copy: wabt takes all memory behind a view, and small files are read into memory that others have used.
  const module = parseWat(`${name}.wat`, new Uint8Array(readFileSync(`${name}.wat`)), features);
  module.resolveNames();
  module.validate(features);
  mkdirSync(new URL('.', new URL(`../dist/${name}`, import.meta.url)), { recursive: true });
  writeFileSync(`dist/${name}.wasm`, module.toBinary({}).buffer);
  module.destroy();
}
