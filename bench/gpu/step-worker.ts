/** lowrank's contender of bench/gpu.ts: node step-worker.js '{"model","batch","device","precision","variant"}' */
import { createInterface } from 'node:readline';
import { NORMALIZATIONS } from '../../src/data/normalize.js';
import { inferShapes } from '../../src/ops/infer.js';
import { sizeOf } from '../../src/ops/support/layout.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { Device } from '../../src/runtime/types.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { defaultTrainSettings, trainSessionOptions } from '../../src/training/options.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings, type GraphSettings } from '../../src/step/settings.js';
import { stepCost } from '../../src/step/step-cost.js';
import { targetOf } from '../../src/lower/target.js';
import { createTrainer } from '../../src/training/trainer.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { initialState } from '../../src/step/vectors.js';

interface Arguments {
  readonly model: string;
  readonly batch: number;
  readonly device: Device;
  readonly precision: GraphSettings['precision'];
  readonly variant: Variant;
}

/** What is told to onnxruntime beside its defaults. */
interface Variant {
  readonly cudaGraphs?: boolean;
  readonly nhwc?: boolean;
  readonly tf32?: boolean;
}

const { model, batch, device, precision, variant } = JSON.parse(process.argv[2]!) as Arguments;
const settings: GraphSettings = { ...defaultGraphSettings, weightDecay: 1e-4, labelSmoothing: 0.1, precision };
const driver = await loadDriver();
const prepared = prepareTraining(model, { settings });
const { build, passes } = await targetOf('cuda', driver, variant);
const bytes = { normalization: NORMALIZATIONS.imagenet, hasFlips: true };
const gradient = buildGradientGraph(prepared, settings, { batch, isBatchOpen: false, passes }, build, undefined, bytes);
const update = buildUpdateGraph(prepared, settings);
const session = trainSessionOptions({ ...defaultTrainSettings, device, ...variant });
const { imageDims, classes } = prepared;
const notes: string[] = [];
const trainer = await createTrainer({
  ...{ driver, gradient, update, batch },
  state: initialState(prepared, update.stateLength, false),
  session,
  isResident: true,
  capture: variant.cudaGraphs,
  readEvery: precision === 'float16' ? 1 : 10,
  allowCpuNodes: variant.cudaGraphs !== true,
  note: (line) => notes.push(line),
});
const floats = new Float32Array(batch * sizeOf(imageDims));
fillTruncatedNormal(randomStream(0, 'images'), floats, 128, 50);
const images = Uint8ClampedArray.from(floats);
const flips = Uint8Array.from({ length: batch }, (_, i) => i % 2);
const labels = BigInt64Array.from({ length: batch }, (_, i) => BigInt((i * 37) % classes));

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
say({
  parameters: update.stateLength,
  gigabytes: stepCost(gradient.model, inferShapes(gradient.model)).bytes / 1e9,
  notes,
});
for await (const line of createInterface({ input: process.stdin })) {
  const count = Number(line);
  const losses: number[] = [];
  const started = performance.now();
  for (let i = 0; i < count; i++) {
    await trainer.accumulate({ images: new Uint8Array(images.buffer), labels, flips });
    const measured = await trainer.update(0.01);
    if (measured !== undefined) losses.push(measured.loss / measured.microBatches);
  }
  const rest = await trainer.collect();
  if (rest !== undefined) losses.push(rest.loss / rest.microBatches);
  say({ milliseconds: (performance.now() - started) / count, losses, notes });
}
await trainer.close();
