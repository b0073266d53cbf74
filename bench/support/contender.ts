import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { median } from './bench.js';

export interface Turn {
  readonly milliseconds: number;
  readonly processorMilliseconds: number;
  readonly peakMiB: number;
}

export interface Contender {
  readonly name: string;
  readonly parameters: number;
  run(steps: number): Promise<Turn>;
  close(): void;
}

/** Starts a process that says what it has in a line of JSON, and then, for each number of steps that it reads, what they took. */
export async function start(
  name: string,
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Contender> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`${name} ended`);
    return JSON.parse(line.value) as T;
  };
  const { parameters } = await next<{ parameters: number }>();
  return {
    name,
    parameters,
    run: async (count) => {
      child.stdin.write(`${count}\n`);
      const { milliseconds, ...rest } = await next<{ milliseconds: number[] } & Omit<Turn, 'milliseconds'>>();
      return { ...rest, milliseconds: median(milliseconds) };
    },
    close: () => void child.stdin.end(),
  };
}
