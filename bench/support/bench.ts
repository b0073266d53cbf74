import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem, type } from 'node:os';
import { join, resolve } from 'node:path';

/** The Python with numpy (and, for some benchmarks, torch) that results are compared with. */
export const oraclePython = process.env['LOWRANK_ORACLE_PYTHON'] ?? 'python3';

/** Real models and images that are not part of the project. */
export const sharedFolder = process.env['LOWRANK_SHARED'] ?? '../shared';

function hardware(): { cpu: string; cores: number; memoryGiB: number; system: string; node: string } {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: type(),
    node: process.version,
  };
}

/** What a bench measured before, by key, for runs that measure a part of it; nothing where there is none. */
export function earlierResults<Result>(name: string, keyOf: (result: Result) => string): Map<string, Result> {
  const path = resultPath(name);
  if (!existsSync(path)) return new Map();
  const { results } = JSON.parse(readFileSync(path, 'utf8')) as { results: Result[] };
  return new Map(results.map((result) => [keyOf(result), result]));
}

function resultPath(name: string): string {
  return `bench/results/${name}.json`;
}

/** Writes bench/results/<name>.json: the result, the hardware, and the command that made it. */
export function saveResult(name: string, result: object): void {
  mkdirSync('bench/results', { recursive: true });
  const command = `npm run bench -- ${name} ${process.argv.slice(2).join(' ')}`.trim();
  const document = {
    bench: name,
    command,
    date: new Date().toISOString().slice(0, 10),
    hardware: hardware(),
    ...result,
  };
  // Results speak of the project, not of where its files lie on one machine.
  const text = JSON.stringify(document, null, 2).replaceAll(`${resolve(sharedFolder)}/`, '../shared/');
  writeFileSync(resultPath(name), `${text}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Runs a program to its end, throwing where it fails; its wall time in seconds and its stdout. */
export function timed(command: string, args: readonly string[], input?: string): { seconds: number; stdout: string } {
  const started = performance.now();
  const result: SpawnSyncReturns<string> = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'inherit'],
    ...(input === undefined ? {} : { input }),
  });
  const seconds = (performance.now() - started) / 1000;
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}`);
  return { seconds, stdout: result.stdout };
}

/** Runs one of our commands; its stdout. Throws where it fails. */
export function lowrank(args: readonly string[]): string {
  return timed(process.execPath, ['bin/lowrank.js', ...args]).stdout;
}

/** The file of a model for `side` × `side` pixels, low-rank where `scale` is above 0, made by the commands that a user would type. */
export function makeStepModel(architecture: string, scale: number, side: number, folder: string): string {
  const full = join(folder, `${architecture}.onnx`);
  lowrank(['create', architecture, '--image-size', String(side), '-o', full, '--force', '--quiet']);
  if (scale === 0) return full;
  const path = join(folder, `${architecture}-${scale}.onnx`);
  const how = ['--rank-scale', String(scale), '--scheme', 'spatial', '--no-verify', '--force', '--quiet'];
  lowrank(['convert', full, '-o', path, ...how]);
  return path;
}
