import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

/** Real models and images that are not part of the project; tests that need them skip where they are missing. */
export const sharedFolder = fileURLToPath(new URL('../../../shared', import.meta.url));
export const hasShared = existsSync(join(sharedFolder, 'data', 'models'));
/** Small inputs that failed once. */
export const hasCases = existsSync(join(sharedFolder, 'cases'));

export const modelsFolder = join(sharedFolder, 'data', 'models');

/** Paths of all real models but those under refuse/, relative to the models folder. */
export function sharedModels(): string[] {
  if (!hasShared) return [];
  return readdirSync(modelsFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.onnx') && !path.startsWith('refuse'))
    .sort();
}

export function modelPath(name: string): string {
  return join(modelsFolder, name);
}
