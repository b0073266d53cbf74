// tsc emits only TypeScript: copy what the library reads at run time.
import { cpSync, existsSync } from 'node:fs';

for (const asset of ['src/onnx/onnx.proto.json', 'src/lower/cuda/kernels.json', 'src/contracts/schemas']) {
  if (existsSync(asset)) cpSync(asset, `dist/${asset}`, { recursive: true });
}
