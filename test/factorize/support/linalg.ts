import { createLinalg } from '../../../src/linalg/linalg.js';
import type { Linalg } from '../../../src/linalg/types.js';
import { loadDriver } from '../../../src/runtime/driver.js';

/** The product's own linear algebra; its workers are those that `npm run build` made. */
export async function testLinalg(): Promise<Linalg> {
  return createLinalg({ driver: await loadDriver() });
}
