/**
 * How long pairs of ResNet-50 take to fit: whole conversions by the command, on the device and on the CPU of the same machine
 * in turns, and what they consist of: starting the device, decomposing single matrices, one step of a sampled fit.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fittingSession } from '../../src/factorize/fitting-session.js';
import { baseline } from '../../src/factorize/inits/baseline.js';
import { fitPairBySampling } from '../../src/factorize/sampled/fit-pair.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { fillNormal, randomStream } from '../../src/random.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { identityModel } from '../../src/runtime/tiny-model.js';
import type { Driver, SessionOptions } from '../../src/runtime/types.js';
import { median } from '../support/bench.js';

export interface FittingBench {
  readonly device: 'cuda' | 'cpu';
  /** Of the model to convert. */
  readonly path: string;
  readonly folder: string;
  readonly isRehearsal: boolean;
  /** Runs the command with these words; its stdout. */
  readonly lowrank: (args: readonly string[]) => string;
  readonly say: (line: string) => void;
}

/** Seconds within which all layers of ResNet-50 are to be fitted on an H200. */
const goals: Readonly<Record<string, number>> = { spectral: 5, 'lfai-ws-adam': 60 };

const round = (value: number, digits = 4): number => Number(value.toPrecision(digits));

/** Everything of this file, as one object for the results. */
export async function measureFitting(bench: FittingBench): Promise<object> {
  const driver = await loadDriver();
  const session = fittingSession({ device: bench.device });
  // In an order that lets the first be the first use of the device in this process.
  const start = await startSeconds(driver, session, bench);
  const decompositions = await decompose(driver, session, bench);
  const step = await sampledStep(driver, session, bench);
  const inits = ['spectral', 'lfai', 'lfai-ws-adam'].map((init) => conversions(init, bench));
  return { start, decompositions, step, conversions: inits };
}

/** The first session on the device, which loads its libraries, and the next. */
async function startSeconds(driver: Driver, options: SessionOptions, { say }: FittingBench): Promise<object> {
  const seconds: number[] = [];
  for (let i = 0; i < 4; i++) {
    const started = performance.now();
    const session = await driver.createSession(identityModel(1), options);
    await session.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(1) } });
    seconds.push((performance.now() - started) / 1000);
    await session.close();
  }
  const [first, ...next] = seconds as [number, ...number[]];
  say(`a session and its first run: ${round(first, 3)} s, the next ${round(median(next), 3)} s`);
  return { firstSeconds: round(first), nextSeconds: round(median(next)) };
}

/** Shapes of ResNet-50 in the channel scheme, at a quarter of the rank: rows, columns, rank. */
const shapes = [
  [64, 576, 16],
  [256, 1024, 64],
  [256, 2304, 64],
  [512, 2048, 128],
  [512, 4608, 128],
  [1024, 2048, 256],
] as const;

function gaussian(rows: number, cols: number): Matrix {
  const data = new Float32Array(rows * cols);
  fillNormal(randomStream(0, `${rows} × ${cols}`), data, 0);
  return { rows, cols, data };
}

/** Truncated SVDs with matrices on the device and with arrays on the CPU, in turns: where the one begins to pay. */
async function decompose(
  driver: Driver,
  session: SessionOptions,
  { isRehearsal, say }: FittingBench,
): Promise<readonly object[]> {
  const notes = new Set<string>();
  const onWarning = (message: string): void => void notes.add(message);
  const arrays = await createLinalg({ driver });
  const resident = await createLinalg({ driver, resident: { session, leastWork: 0, onWarning } });
  const time = async (linalg: Linalg, a: Matrix, rank: number): Promise<number> => {
    const started = performance.now();
    await linalg.truncatedSvd(a, rank, { seed: 1 });
    return performance.now() - started;
  };
  const results: object[] = [];
  for (const [rows, cols, rank] of isRehearsal ? shapes.slice(0, 3) : shapes) {
    const a = gaussian(rows, cols);
    const times = { cpu: [] as number[], device: [] as number[] };
    for (let i = 0; i < (isRehearsal ? 2 : 6); i++) {
      times.cpu.push(await time(arrays, a, rank));
      times.device.push(await time(resident, a, rank));
    }
    // The first of each compiles, and starts sessions.
    const [cpu, device] = [median(times.cpu.slice(1)), median(times.device.slice(1))];
    results.push({ rows, cols, rank, cpuMilliseconds: round(cpu), deviceMilliseconds: round(device) });
    say(`SVD ${rows} × ${cols}, rank ${rank}: ${round(device, 3)} ms, on the CPU ${round(cpu, 3)} ms`);
  }
  await arrays.close();
  await resident.close();
  return [...results, ...[...notes].map((note) => ({ note }))];
}

interface ProfiledNode {
  readonly cat: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** One layer fitted by sampling: milliseconds of a step, and what onnxruntime's profile says of copies to and from the device. */
async function sampledStep(
  driver: Driver,
  session: SessionOptions,
  { isRehearsal, say }: FittingBench,
): Promise<object> {
  const [rows, cols, rank, steps] = isRehearsal ? [64, 576, 16, 5] : [512, 4608, 128, 200];
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-profile-'));
  const linalg = await createLinalg({ driver });
  const notes: string[] = [];
  try {
    const weight = gaussian(rows, cols);
    const problem = { weight, rank, rowsPerNeuron: 1, activation: { kind: 'Relu' }, seed: 1, linalg } as const;
    const start = await baseline.fit(problem);
    const fit = async (options: SessionOptions): Promise<number> => {
      const settings = { steps, learningRate: 1e-4 };
      const sampled = { settings, driver, session: options, onWarning: (note: string) => void notes.push(note) };
      const started = performance.now();
      await fitPairBySampling({ ...problem, sampled }, start, 0.1);
      return (performance.now() - started) / steps;
    };
    await fit(session);
    const milliseconds = median([await fit(session), await fit(session), await fit(session)]);
    await fit({ ...session, profilePrefix: join(folder, 'fit') });
    const [file] = readdirSync(folder);
    const events = JSON.parse(readFileSync(join(folder, file!), 'utf8')) as readonly ProfiledNode[];
    const nodes = events.filter(({ cat, args }) => cat === 'Node' && args?.op_name !== undefined);
    const count = (isCounted: (operator: string) => boolean): number =>
      round(nodes.filter(({ args }) => isCounted(args!.op_name!)).length / steps);
    const perStep = { operators: count((name) => name !== 'Loop'), copies: count((name) => name.startsWith('Memcpy')) };
    say(`a step at ${rows} × ${cols}, rank ${rank}: ${round(milliseconds, 3)} ms, ${perStep.copies} copies`);
    return { rows, cols, rank, batch: 256, milliseconds: round(milliseconds), perStep, notes: [...new Set(notes)] };
  } finally {
    await linalg.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Conversions of the whole model by one initialization, on the device and on the CPU. */
function conversions(init: string, { device, path, folder, isRehearsal, lowrank, say }: FittingBench): object {
  const convert = (where: string): ConvertReport => {
    const how = ['--rank-scale', '0.25', '--scheme', 'channel', '--init', init, '--device', where];
    const few = isRehearsal && init === 'lfai-ws-adam' ? ['--fit-steps', '2'] : [];
    const output = ['-o', join(folder, `${init}.onnx`), '--no-verify', '--force', '--json', '--quiet'];
    return JSON.parse(lowrank(['convert', path, ...how, ...few, ...output])) as ConvertReport;
  };
  const goal = goals[init];
  try {
    const reports = { device: [] as ConvertReport[], cpu: [] as ConvertReport[] };
    for (let i = 0; i < (isRehearsal || init === 'lfai-ws-adam' ? 1 : 3); i++) {
      reports.device.push(convert(device));
      reports.cpu.push(convert('cpu'));
    }
    const phases = (all: readonly ConvertReport[]): Record<string, number> =>
      Object.fromEntries(
        Object.keys(all[0]!.seconds).map((phase) => [
          phase,
          round(median(all.map(({ seconds }) => (seconds as Record<string, number>)[phase]!))),
        ]),
      );
    const [seconds, cpuSeconds] = [phases(reports.device), phases(reports.cpu)];
    const fitted = seconds['factorize']!;
    const speedup = round(cpuSeconds['factorize']! / fitted, 3);
    const isMet = isRehearsal || goal === undefined ? null : fitted < goal;
    const { engine, warnings } = reports.device[0]!;
    const errors = [meanError(reports.device[0]!), meanError(reports.cpu[0]!)];
    const goalText = isMet === null ? '' : ` (goal ${goal} s)`;
    say(`${init}: ${fitted} s${goalText}, ${speedup} × the speed of the CPU, ${cpuSeconds['factorize']} s`);
    return { init, device, goalSeconds: goal ?? null, isMet, seconds, cpuSeconds, speedup, engine, warnings, errors };
  } catch (error) {
    say(`${init}: ${String(error)}`);
    return { init, device, goalSeconds: goal ?? null, failed: String(error) };
  }
}

/** Of the function, over all layers that became pairs: the same on both, up to the samples that were drawn. */
function meanError({ layers }: ConvertReport): number {
  const errors = layers.flatMap(({ functionError }) => (functionError === null ? [] : [functionError]));
  return round(errors.reduce((sum, error) => sum + error, 0) / errors.length, 6);
}
