import { messageOf, LowrankError } from '../errors.js';
import { formatSeconds } from '../report/format.js';
import type { Diagnosis } from '../runtime/diagnose.js';
import type { Device, Driver, SessionOptions } from '../runtime/types.js';
import { fillTruncatedNormal, randomStream } from '../random.js';
import { sizeOf } from '../ops/support/layout.js';
import { buildGradientGraph } from '../step/gradient-graph.js';
import { prepareTraining } from '../step/prepare.js';
import { defaultGraphSettings } from '../step/settings.js';
import { createTrainer } from './trainer.js';
import { targetOf } from '../lower/target.js';
import { buildUpdateGraph } from '../step/update-graph.js';
import { initialState } from '../step/vectors.js';

const batch = 8;
const updates = 3;
const learningRate = 0.01;

/**
 * How far apart a device and the CPU may be, relative to how far the weights moved: float32 sums in another order differ by
 * 1e-5 to 1e-4 here, ReLUs that flip by more; a wrong kernel by about 1.
 */
const stepTolerance = 0.01;

/** The same updates of a model on a device, with its state there, and on the CPU. */
export interface DeviceStep {
  readonly loss: { readonly cpu: number; readonly device: number };
  /** ‖w_device − w_cpu‖ / ‖w_cpu − w_before‖ for all weights. */
  readonly difference: number;
  /** Of the updates on the device, the first one left out. */
  readonly secondsPerUpdate: number;
  /** What is worth knowing: nodes that run on the CPU. */
  readonly notes: readonly string[];
}

/** Trains a model of color images on random ones, three updates, on `options.device` and on the CPU. Throws RUNTIME, DEVICE. */
export async function compareDeviceStep(
  model: Uint8Array,
  driver: Driver,
  options: SessionOptions,
): Promise<DeviceStep> {
  const settings = { ...defaultGraphSettings, dropout: 0 };
  const prepared = prepareTraining(model, { settings });
  const { build, passes } = await targetOf('cuda', driver);
  const gradient = buildGradientGraph(prepared, settings, { batch, isBatchOpen: false, passes }, build);
  const update = buildUpdateGraph(prepared, settings);
  const { imageDims, classes } = prepared;
  const images = new Float32Array(batch * sizeOf(imageDims));
  fillTruncatedNormal(randomStream(0, 'images'), images, 0, 1);
  const labels = BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % classes));
  const notes: string[] = [];
  const run = async (session: SessionOptions, isResident: boolean) => {
    const state = initialState(prepared, update.stateLength, false);
    const before = state.parameters.slice();
    const trainer = await createTrainer({
      ...{ driver, gradient, update, state, batch, session, isResident },
      allowCpuNodes: true,
      note: (line) => notes.push(line),
    });
    try {
      let loss = 0;
      let started = 0;
      for (let i = 0; i < updates; i++) {
        if (i === 1) started = performance.now();
        loss = (await trainer.accumulate({ images, labels }))!.loss;
        await trainer.update(learningRate);
      }
      const seconds = (performance.now() - started) / 1000 / (updates - 1);
      return { loss, seconds, before, after: (await trainer.read()).parameters.slice() };
    } finally {
      await trainer.close();
    }
  };
  const device = await run(options, true);
  const cpu = await run({}, false);
  return {
    loss: { cpu: cpu.loss, device: device.loss },
    difference: distance(device.after, cpu.after) / distance(cpu.after, cpu.before),
    secondsPerUpdate: device.seconds,
    notes,
  };
}

function distance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));
}

/** A line of `lowrank-doctor` about training on a device. Never throws. */
export async function diagnoseTraining(model: Uint8Array, driver: Driver, device: Device): Promise<Diagnosis> {
  const name = `training on ${device}`;
  try {
    const cuda = device === 'cuda' ? { cuda: { useTf32: false } } : {};
    const { difference, loss, secondsPerUpdate, notes } = await compareDeviceStep(model, driver, { device, ...cuda });
    const fact = `${updates} updates end ${difference.toExponential(1)} from the CPU's, relative to how far the weights moved (losses ${loss.device.toPrecision(6)} and ${loss.cpu.toPrecision(6)}); ${formatSeconds(secondsPerUpdate)} each`;
    if (!(difference <= stepTolerance)) {
      return {
        name,
        status: 'missing',
        fact,
        remedy: `up to ${stepTolerance} is rounding; train with --device cpu and report this`,
      };
    }
    if (notes.length === 0) return { name, status: 'ok', fact };
    const remedy = 'training asks for --allow-cpu-nodes';
    return { name, status: 'warning', fact: `${fact}; ${notes.join('; ')}`, remedy };
  } catch (error) {
    if (!(error instanceof LowrankError)) return { name, status: 'missing', fact: messageOf(error) };
    return { name, status: 'missing', fact: error.fact, remedy: error.remedy };
  }
}
