import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

/** The file systems of /proc are there or not: where they are not, less is known. */
function procText(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    return undefined;
  }
}

let bootId: string | undefined;

interface ProcessFacts {
  readonly hasEnded: boolean;
  /** Clock ticks from the start of the machine. */
  readonly ticks: string;
}

/** Linux only: what the kernel says of a process, whose name may hold anything, parentheses included. */
function factsOf(pid: number): ProcessFacts | undefined {
  const stat = procText(`${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, ticks] = [fields[0], fields[19]];
  if (state === undefined || ticks === undefined) return undefined;
  return { hasEnded: state === 'Z' || state === 'X', ticks };
}

/**
 * Tells a process from others that have had its number, before it or after a restart of the machine: eight hexadecimal
 * digits. undefined where the system does not say.
 */
function startMarkOf(pid: number): string | undefined {
  const facts = factsOf(pid);
  if (facts === undefined) return undefined;
  bootId ??= procText('sys/kernel/random/boot_id') ?? '';
  return shortHash(`${bootId} ${facts.ticks}`, 8);
}

/** `startMarkOf` this process, which always has one. */
export const ownStartMark: string =
  startMarkOf(process.pid) ?? shortHash(String(Math.floor(performance.timeOrigin)), 8);

/** Where process numbers mean the same; containers have their own. */
export const ownProcessSpace: string = ((): string => {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
})();

/** What is known of a process of this machine that was once there. */
export type Presence = 'gone' | 'there' | 'unknown';

/** Whether the process with this number is still the one with this start; `unknown`: another may have its number. */
export function presenceOf(pid: number, startMark: string | undefined): Presence {
  if (!Number.isSafeInteger(pid) || pid < 1) return 'gone';
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'gone';
  }
  if (factsOf(pid)?.hasEnded === true) return 'gone';
  const now = pid === process.pid ? ownStartMark : startMarkOf(pid);
  if (now === undefined || startMark === undefined) return 'unknown';
  return now === startMark ? 'there' : 'gone';
}

/** Milliseconds since 1970 at which a process was started; undefined where the system does not say. */
export function startTimeOf(pid: number): number | undefined {
  const facts = factsOf(pid);
  const boot = /^btime (\d+)$/m.exec(procText('stat') ?? '')?.[1];
  // The kernel counts in hundredths of a second for all programs (USER_HZ).
  return facts === undefined || boot === undefined ? undefined : Number(boot) * 1000 + Number(facts.ticks) * 10;
}

export function shortHash(text: string, digits: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}
