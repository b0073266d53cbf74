/**
 * Everything that docs/gpu.md asks of an NVIDIA GPU: doctor, whole training steps against PyTorch eager (autocast,
 * channels_last), losses over 200 steps, fitting times, and how gradients are best formulated.
 *
 *   bash bench/gpu/run.sh [--only part] [--models a,b] [--scales a,b] [--precisions a,b] [--variants a,b] [--batch 256]
 *     [--steps 50] [--losses 200] [--data FOLDER] [--minutes 9] [--rehearse]
 *
 * Parts: doctor, training, fitting, operators, and with --data pictures (whole trainings on those images). --variants names what
 * onnxruntime is told: plain, graphs, nhwc, graphs+nhwc. --rehearse runs the same, small, on the CPU: no measurement, and into
 * .bench/gpu-rehearsal.json. Contenders run one after the other, each alone on the GPU.
 *
 * Every measurement is written when it is there, beside those of earlier calls: a call that is cut short loses nothing. After
 * --minutes no other one begins.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import type { TrainReport } from '../src/contracts/train.js';
import { loadDriver } from '../src/runtime/driver.js';
import { measureFitting } from './gpu/fitting.js';
import { formulations, timeFormulation } from './gpu/operators.js';
import { lowrank, makeStepModel, median, oraclePython, saveResult } from './support/bench.js';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    models: { type: 'string', default: 'resnet50,efficientnet_b0' },
    precisions: { type: 'string', default: 'bfloat16,float32,float16' },
    scales: { type: 'string', default: '0.25,0,0.1' },
    batch: { type: 'string', default: '256' },
    side: { type: 'string', default: '224' },
    steps: { type: 'string', default: '50' },
    losses: { type: 'string', default: '200' },
    minutes: { type: 'string' },
    variants: { type: 'string', default: 'plain,graphs,nhwc,graphs+nhwc' },
    data: { type: 'string' },
    rehearse: { type: 'boolean', default: false },
  },
});
const isRehearsal = options.rehearse;
const device = isRehearsal ? 'cpu' : 'cuda';
const small = {
  batch: 2,
  side: 64,
  steps: 1,
  losses: 2,
  models: ['resnet18'],
  precisions: ['float32'],
  scales: [0.1],
  variants: ['plain', 'graphs'],
};
const given = {
  batch: Number(options.batch),
  side: Number(options.side),
  steps: Number(options.steps),
  losses: Number(options.losses),
  models: options.models.split(','),
  precisions: options.precisions.split(','),
  scales: options.scales.split(',').map(Number),
  variants: options.variants.split(','),
};
const { batch, side, steps, losses, models, precisions, scales, variants } = isRehearsal ? small : given;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const round = (value: number, digits = 4): number => Number(value.toPrecision(digits));

const resultFile = 'bench/results/gpu.json';

/** What earlier calls measured. */
function earlier(): Record<string, unknown> {
  if (isRehearsal || !existsSync(resultFile)) return {};
  const {
    bench: _,
    command: __,
    date: ___,
    hardware: ____,
    ...rest
  } = JSON.parse(readFileSync(resultFile, 'utf8')) as Record<string, unknown>;
  return rest;
}
const result: Record<string, unknown> = { ...earlier(), device, batch, side };

/** Writes what was measured: all of a part, or one entry of it, in the place of what was there of this name. */
function keep(part: string, value: object, name?: string): void {
  const known = Array.isArray(result[part]) ? (result[part] as { readonly name: string }[]) : [];
  result[part] = name === undefined ? value : [...known.filter((entry) => entry.name !== name), { ...value, name }];
  if (isRehearsal) {
    mkdirSync('.bench', { recursive: true });
    writeFileSync('.bench/gpu-rehearsal.json', `${JSON.stringify(result, null, 2)}\n`);
  } else saveResult('gpu', result);
}

let isTold = false;
/** Whether the time is over: then nothing else is begun. */
function isOver(): boolean {
  if (options.minutes === undefined || performance.now() < 60_000 * Number(options.minutes)) return false;
  if (!isTold) say(`${options.minutes} minutes are over: the rest is not measured`);
  isTold = true;
  return true;
}

/** Numbers of nvidia-smi about the first GPU; undefined where there is none. */
async function smi(query: string): Promise<number | undefined> {
  try {
    const args = [`--query-gpu=${query}`, '--format=csv,noheader,nounits', '--id=0'];
    return Number((await promisify(execFile)('nvidia-smi', args)).stdout.trim());
  } catch {
    return undefined;
  }
}

interface Turn {
  readonly milliseconds: number;
  readonly losses: readonly number[];
  readonly peakMiB?: number | null;
  readonly notes?: readonly string[];
}

interface Contender {
  readonly losses?: readonly number[];
  readonly notes?: readonly string[];
  readonly milliseconds?: number;
  readonly gpuBusyPercent?: number | null;
  readonly memoryMiB?: number | null;
  readonly allocatedMiB?: number | null;
  readonly imagesPerSecond?: number;
  readonly gigabytes?: number;
  readonly roofline?: { readonly copyGBs: number; readonly matrixTFLOPs: number } | null;
  readonly failed?: string;
}

/** Starts a contender, lets it do `warm` steps, times three rounds unless it is for its losses alone, and ends it. Its error where it fails. */
async function contend(
  command: string,
  args: readonly string[],
  { warm, isTimed = true }: { readonly warm: number; readonly isTimed?: boolean },
): Promise<Contender> {
  const before = await smi('memory.used');
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done !== true) return JSON.parse(line.value);
    await ended;
    throw new Error(complaint.trim().split('\n').at(-1) ?? 'it ended');
  };
  const run = async (count: number): Promise<Turn> => {
    child.stdin.write(`${count}\n`);
    return (await next()) as Turn;
  };
  try {
    const about = (await next()) as object;
    const first = await run(warm); // a fresh model: its losses count, its time does not
    const seen = { losses: first.losses.map((loss) => round(loss, 6)), notes: first.notes ?? [] };
    if (!isTimed) return { ...about, ...seen };
    const busy: number[] = [];
    const watch = setInterval(
      () => void smi('utilization.gpu').then((share) => share !== undefined && busy.push(share)),
      300,
    );
    const turns: Turn[] = [];
    for (let i = 0; i < 3; i++) turns.push(await run(steps));
    clearInterval(watch);
    const used = await smi('memory.used');
    const milliseconds = median(turns.map((turn) => turn.milliseconds));
    return {
      ...about,
      milliseconds: round(milliseconds),
      imagesPerSecond: round((1000 * batch) / milliseconds),
      gpuBusyPercent: busy.length === 0 ? null : round(busy.reduce((sum, share) => sum + share, 0) / busy.length, 3),
      memoryMiB: used === undefined || before === undefined ? null : used - before,
      allocatedMiB: turns.at(-1)!.peakMiB ?? null,
      ...seen,
    };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  } finally {
    child.stdin.end();
    await ended;
  }
}

/** The file of a model and the multiply-adds of one image. */
function makeModel(architecture: string, scale: number, folder: string): { path: string; macs: number } {
  const path = makeStepModel(architecture, scale, side, folder);
  const { totals } = JSON.parse(lowrank(['inspect', path, '--json'])) as { totals: { macs: number } };
  return { path, macs: totals.macs };
}

/**
 * Milliseconds that a step takes at least: what its nodes read and write at the bandwidth of a copy, its products at the rate
 * of a large one, both as PyTorch measures them on this card.
 */
function rooflineOf(teraflop: number, ours: Contender, torch: Contender | undefined): object | null {
  const { gigabytes } = ours;
  const roofline = torch?.roofline;
  if (gigabytes === undefined || roofline == null) return null;
  const { copyGBs, matrixTFLOPs } = roofline;
  return {
    ...{ gigabytes: round(gigabytes), copyGBs: round(copyGBs), matrixTFLOPs: round(matrixTFLOPs) },
    ...{ bytesMs: round((1000 * gigabytes) / copyGBs), productsMs: round((1000 * teraflop) / matrixTFLOPs) },
  };
}

/** Whole trainings on real images, two epochs, of which the second counts: the rate, and how long the loop waited for images. */
function pictures(data: string, folder: string): void {
  for (const architecture of models) {
    for (const scale of scales) {
      if (isOver()) return;
      const { path } = makeModel(architecture, scale, folder);
      for (const precision of precisions) {
        if (isOver()) return;
        const about = { architecture, scale, precision, batch };
        const name = `${architecture} ${scale} ${precision}`;
        const words = [
          'train',
          path,
          '--data',
          data,
          '-o',
          join(folder, 'trained.onnx'),
          '--new-head',
          '--epochs',
          '2',
        ];
        const how = ['--batch-size', String(batch), '--device', device, '--precision', precision];
        try {
          const report = JSON.parse(lowrank([...words, ...how, '--force', '--json', '--quiet'])) as TrainReport;
          const { imagesPerSecond, dataWaitShare } = report.epochs.at(-1)!;
          keep('pictures', { ...about, imagesPerSecond, dataWaitShare }, name);
          say(`${name}: ${round(imagesPerSecond)} images/s of ${data}`);
        } catch (error) {
          keep('pictures', { ...about, failed: String(error) }, name);
        }
      }
    }
  }
}

async function training(folder: string): Promise<void> {
  for (const architecture of models) {
    for (const scale of scales) {
      if (isOver()) return;
      const { path, macs } = makeModel(architecture, scale, folder);
      for (const precision of precisions) {
        if (isOver()) return;
        await race(architecture, scale, precision, path, macs);
      }
    }
  }
}

/** Ours in every variant, and PyTorch's, of one model in one precision. */
async function race(architecture: string, scale: number, precision: string, path: string, macs: number): Promise<void> {
  const worker = fileURLToPath(new URL('gpu/step-worker.js', import.meta.url));
  const about = { architecture, scale, precision, batch, side };
  const ours: Record<string, Contender> = {};
  const torch: Contender[] = [];
  const torchOf = async (seed: number): Promise<void> => {
    const call = { architecture, scale, batch, side, device, precision, seed };
    const how = { warm: losses, isTimed: seed === 0 };
    torch.push(await contend(oraclePython, ['bench/gpu/torch-step.py', JSON.stringify(call)], how));
  };
  /** Writes what is there, with the ratios to PyTorch. */
  const tell = (): Readonly<Record<string, number>> => {
    const speed = (contender: Contender | undefined): number => contender?.imagesPerSecond ?? Number.NaN;
    const ratios = Object.fromEntries(
      Object.entries(ours).map(([name, one]) => [name, round(speed(one) / speed(torch[0]), 3)]),
    );
    // Forward, data gradient and weight gradient: three times two operations a multiply-add.
    const teraflop = round((6 * macs * batch) / 1e12);
    const roofline = rooflineOf(teraflop, ours[variants[0]!]!, torch[0]);
    keep(
      'training',
      { ...about, teraflop, roofline, ratios, lowrank: ours, torch },
      `${architecture} ${scale} ${precision}`,
    );
    return ratios;
  };
  for (const [index, name] of variants.entries()) {
    // onnxruntime has no such convolution: its sessions cannot be made.
    if (isOver() || (name.includes('nhwc') && precision === 'bfloat16')) continue;
    const variant = {
      ...(name.includes('graphs') ? { cudaGraphs: true } : {}),
      ...(name.includes('nhwc') ? { nhwc: true } : {}),
    };
    const call = { model: path, batch, device, precision, variant };
    const how = { warm: index === 0 ? losses : 5 };
    ours[name] = await contend(process.execPath, [worker, JSON.stringify(call)], how);
    if (index === 0) await torchOf(0);
    const ratio = tell()[name];
    const { failed, imagesPerSecond } = ours[name];
    const outcome = failed ?? `${imagesPerSecond} images/s, ${ratio} × PyTorch`;
    say(`${architecture} scale ${scale} ${precision} ${name}: ${outcome}`);
  }
  // Other seeds give the spread of PyTorch's own losses.
  for (const seed of isRehearsal ? [] : [1, 2]) if (!isOver()) await torchOf(seed);
  tell();
}

async function fitting(folder: string): Promise<object> {
  const { path } = makeModel(isRehearsal ? 'resnet18' : 'resnet50', 0, folder);
  return measureFitting({ device, path, folder, isRehearsal, lowrank, say });
}

async function operators(): Promise<void> {
  const driver = await loadDriver();
  for (const options of isRehearsal
    ? [{ device: 'cpu' as const }]
    : [
        { device: 'cuda' as const, cuda: { useTf32: true } },
        { device: 'cuda' as const, cuda: { useTf32: false } },
        { device: 'cuda' as const, cuda: { useTf32: true, preferNhwc: true } },
      ]) {
    for (const one of formulations(isRehearsal ? 2 : batch, isRehearsal)) {
      if (isOver()) return;
      const timed = await timeFormulation(one, driver, options, isRehearsal ? 2 : 20);
      const { operator, name: form, shape, milliseconds, note } = timed;
      const rounded = milliseconds === null ? null : round(milliseconds);
      const name = `${operator}, ${form} (${shape}) ${JSON.stringify(options)}`;
      keep('operators', { operator, form, shape, options, milliseconds: rounded, note }, name);
      say(`${operator}, ${form} (${shape}): ${rounded === null ? (note ?? '') : `${rounded} ms`}`);
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
try {
  const wants = (part: string): boolean => options.only === undefined || options.only === part;
  if (wants('doctor')) keep('doctor', JSON.parse(lowrank(['doctor', '--json'])) as object);
  if (wants('operators')) await operators();
  if (wants('fitting') && !isOver()) keep('fitting', await fitting(folder));
  if (options.data !== undefined && wants('pictures')) pictures(options.data, folder);
  if (wants('training')) await training(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
