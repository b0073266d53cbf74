// Assembles the kernels: WebAssembly text in src, its binary in dist.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import wabt from 'wabt';

const features = { simd: true };
const { parseWat } = await wabt();
for (const name of ['src/linalg/dense/kernels', 'src/data/resample']) {
  const module = parseWat(`${name}.wat`, readFileSync(`${name}.wat`), features);
  module.resolveNames();
  module.validate(features);
  mkdirSync(new URL('.', new URL(`../dist/${name}`, import.meta.url)), { recursive: true });
  writeFileSync(`dist/${name}.wasm`, module.toBinary({}).buffer);
  module.destroy();
}
