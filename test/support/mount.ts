import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system in memory, of its own size, until `unmount`. */
export interface Mounted {
  readonly folder: string;
  remount(options: string): void;
  unmount(): void;
}

/** Mounts a tmpfs; undefined where this process may not (only root on Linux may). */
export function mountTmpfs(options: string): Mounted | undefined {
  if (process.platform !== 'linux') return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-tmpfs-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmdirSync(folder);
    return undefined;
  }
  return {
    folder,
    remount: (changed) => {
      execFileSync('mount', ['-o', `remount,${changed}`, folder], { stdio: 'ignore' });
    },
    unmount: () => {
      execFileSync('umount', [folder], { stdio: 'ignore' });
      rmdirSync(folder);
    },
  };
}

/** Whether `mountTmpfs` works here. */
export const canMount = ((): boolean => {
  const mounted = mountTmpfs('size=64k');
  mounted?.unmount();
  return mounted !== undefined;
})();
