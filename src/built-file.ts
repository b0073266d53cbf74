import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LowrankError } from './errors.js';

/**
 * The path of a file that the build makes, named from `src`: a worker (Node 20 starts none from TypeScript) or compiled
 * kernels. Run from source, it is the one in dist/. Throws INTERNAL where the build has not made it.
 */
export function builtFile(name: string): string {
  const isSource = import.meta.url.endsWith('.ts');
  const path = fileURLToPath(new URL(isSource ? `../dist/src/${name}` : name, import.meta.url));
  if (existsSync(path)) return path;
  throw new LowrankError('INTERNAL', `a file of the build is missing: ${path}`, {
    remedy: isSource ? "run 'npm run build'" : 'install the package again',
  });
}
