import type { ChildProcess } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Resolves as soon as `isTime`, which is asked whenever something appears in `folder` or leaves it. The folder may come later;
 * the one that it lies in is there. Rejects where the program ends before.
 */
export async function until(child: ChildProcess, folder: string, isTime: () => boolean): Promise<void> {
  const over = new AbortController();
  const ended = new Promise<never>((_, reject) => {
    const end = (): void => reject(new Error(`the program ended with ${child.exitCode} before it was time`));
    child.once('exit', end);
    over.signal.addEventListener('abort', () => child.off('exit', end));
    if (child.exitCode !== null || child.signalCode !== null) end();
  });
  try {
    if (!existsSync(folder)) await Promise.race([seen(dirname(folder), () => existsSync(folder), over.signal), ended]);
    await Promise.race([seen(folder, isTime, over.signal), ended]);
  } finally {
    over.abort();
  }
}

function seen(folder: string, isTime: () => boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher = watch(folder, { signal });
    const ask = (): void => {
      if (!isTime()) return;
      watcher.close();
      resolve();
    };
    watcher.on('change', ask).on('error', reject);
    // What was there before the watch began.
    ask();
  });
}
