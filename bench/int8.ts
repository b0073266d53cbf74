// What converted models lose when onnxruntime.quantization makes int8 models of them, beside what the originals lose, on the same
// pictures, paired, and how fast each is, one picture at a time in turns. LOWRANK_ORACLE_PYTHON names a Python with onnxruntime.
// npm run bench -- int8 [--cases resnet8,resnet20,…] [--budget 0.5] [--balance weight,activation] [--images 1000] [--calibration 200]
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { calibration, convert, type EvalReport, evaluateModel } from '../src/index.js';
import { readModel } from '../src/graph/read.js';
import { loadDriver } from '../src/runtime/driver.js';
import { earlierResults, oraclePython, saveResult, timed } from './support/bench.js';
import { cases, shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'resnet8,resnet20,efficientnet,mobilenetv2,vit,resnet50v2' },
    budget: { type: 'string', default: '0.5' },
    balance: { type: 'string', default: 'weight,activation' },
    images: { type: 'string', default: '1000' },
    /** Pictures that the quantizer sees. */
    calibration: { type: 'string', default: '200' },
  },
});

interface Measured {
  readonly top1: number;
  readonly milliseconds: number;
  readonly bytes: number;
}

interface Result {
  readonly model: string;
  readonly macsBudget: number;
  readonly balance: string;
  readonly n: number;
  readonly float: { readonly original: Measured; readonly converted: Measured };
  readonly int8: { readonly original: Measured; readonly converted: Measured };
  /** int8 − float on the same pictures, of the original and of the converted model. */
  readonly lost: Readonly<Record<'original' | 'converted', { difference: number; ci95: readonly [number, number] }>>;
  /** Milliseconds of the original over those of the converted model, both int8. */
  readonly speedup: number;
}

const keyOf = ({ model, macsBudget, balance }: Result): string => [model, macsBudget, balance].join(' ');
const results = earlierResults<Result>('int8', keyOf);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-int8-'));
const script = 'bench/support/int8.py';
const percent = (value: number): string => (100 * value).toFixed(1);

/** A model in float and int8, with the pictures that quantizers of it see, [count, …dims], and what it loses. */
interface Original {
  readonly path: string;
  readonly fit: string;
  readonly val: string;
  readonly pictures: string;
  readonly dims: readonly number[];
  readonly int8: string;
  readonly report: EvalReport;
}

async function quantizedOriginal(name: string): Promise<Original> {
  const { file, normalization, images } = cases[name]!;
  const path = shared(`models/${file}`);
  const { fit, val } = images(folder);
  const pictures = join(folder, 'pictures.bin');
  const dims = await writeImages(path, fit, normalization, pictures);
  const int8 = quantized(path, pictures, dims, 'original');
  return { path, fit, val, pictures, dims, int8, report: await versusFloat(name, int8, path, val) };
}

function quantized(model: string, pictures: string, dims: readonly number[], name: string): string {
  const output = join(folder, `${name}-int8.onnx`);
  timed(oraclePython, [script, 'quantize', model, pictures, ...dims.map(String), output]);
  return output;
}

function versusFloat(name: string, model: string, versus: string, data: string): Promise<EvalReport> {
  const { normalization, classes } = cases[name]!;
  return evaluateModel({ model, versus, data, classes, settings: { normalization, limit: Number(values.images) } });
}

/** The first pictures as the model takes them, in a file. */
async function writeImages(path: string, fit: string, normalization: string, file: string): Promise<readonly number[]> {
  const model = readModel(path);
  const open = calibration(fit, { normalization, images: Number(values.calibration) });
  const images = await open(model, 1, { path, driver: await loadDriver(), session: {}, signal: undefined });
  const parts: Uint8Array[] = [];
  let count = 0;
  try {
    for await (const { feeds, size } of images.batches()) {
      const { data } = Object.values(feeds)[0]!;
      const floats = data as Float32Array;
      parts.push(new Uint8Array(floats.slice().buffer));
      count += size;
    }
  } finally {
    await images.close();
    model.file?.close();
  }
  writeFileSync(file, Buffer.concat(parts));
  return [count, ...images.dims.slice(1)];
}

try {
  const turns = values.cases.split(',').flatMap((name) => values.balance.split(',').map((balance) => [name, balance]));
  let before: { readonly name: string; readonly of: Original } | undefined;
  for (const [name, balance] of turns as [string, 'weight' | 'activation'][]) {
    if (before?.name !== name) before = { name, of: await quantizedOriginal(name) };
    const { path, pictures, dims, report, fit, val, int8: originalInt8 } = before.of;
    const { normalization } = cases[name]!;
    const macsBudget = Number(values.budget);
    const converted = join(folder, 'converted.onnx');
    await convert(path, {
      ...{ output: converted, force: true, macsBudget, balance, verify: false },
      calibrate: calibration(fit, { normalization }),
    });
    const paths = [path, converted, originalInt8, quantized(converted, pictures, dims, 'converted')];
    const times = JSON.parse(
      timed(oraclePython, [script, 'time', ...dims.slice(1).map(String), ...paths]).stdout,
    ) as number[];
    const of = { original: report, converted: await versusFloat(name, paths[3]!, converted, val) };
    const measured = (top1: number, at: number): Measured => {
      return { top1, milliseconds: times[at]!, bytes: statSync(paths[at]!).size };
    };
    const lost = (key: 'original' | 'converted'): Result['lost']['original'] => {
      const { difference, ci95 } = of[key].versus!;
      return { difference, ci95 };
    };
    const result: Result = {
      ...{ model: name, macsBudget, balance, n: of.original.n },
      float: {
        original: measured(of.original.versus!.top1, 0),
        converted: measured(of.converted.versus!.top1, 1),
      },
      int8: { original: measured(of.original.top1, 2), converted: measured(of.converted.top1, 3) },
      lost: { original: lost('original'), converted: lost('converted') },
      speedup: times[2]! / times[3]!,
    };
    results.set(keyOf(result), result);
    const { float, int8 } = result;
    process.stdout.write(
      `${name} ${macsBudget} ${balance} (n = ${result.n}): original ${percent(float.original.top1)} -> int8 ${percent(int8.original.top1)}, ` +
        `converted ${percent(float.converted.top1)} -> int8 ${percent(int8.converted.top1)}; ` +
        `ms ${times.map((time) => time.toFixed(2)).join(' ')}, int8 ${result.speedup.toFixed(2)} times as fast\n`,
    );
    saveResult('int8', { results: [...results.values()] });
  }
} finally {
  rmSync(folder, { recursive: true });
}
