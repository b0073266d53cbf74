import { loadKoffi } from './c-api/koffi.js';

/**
 * Whether the system's loader finds and loads a library. true where there is no koffi to ask with: onnxruntime itself
 * will tell.
 */
export async function isLoadable(name: string): Promise<boolean> {
  const koffi = await loadKoffi().catch(() => undefined);
  if (koffi === undefined) return true;
  try {
    koffi.load(name, { lazy: true }).unload();
    return true;
  } catch {
    return false;
  }
}
