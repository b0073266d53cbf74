import { describe, expect, it } from 'vitest';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { createTrainer } from '../../src/training/trainer.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { initialState } from '../../src/step/vectors.js';
import { type Golden, hasGoldens, nets, optimizerCases, readGolden } from './support/golden.js';

/** The tolerances are those of the goldens themselves (their README derives them): `atol` of each tensor. */
function compare(golden: Golden, key: string, actual: ArrayLike<number>, worst: Map<string, number>): void {
  const expected = golden.results.tensors.get(key)!.data as ArrayLike<number>;
  const { atol } = golden.meta.tensors[key]!;
  expect(actual.length, key).toBe(expected.length);
  let error = 0;
  for (let i = 0; i < expected.length; i++) error = Math.max(error, Math.abs(Number(actual[i]) - Number(expected[i])));
  expect(error, `${golden.name} ${key}: largest error ${error}, tolerance ${atol}`).toBeLessThanOrEqual(atol);
  const kind = key.split('/')[0]!;
  worst.set(kind, Math.max(worst.get(kind) ?? 0, error / atol));
}

async function check(name: string): Promise<void> {
  const golden = readGolden(name);
  const { settings, meta, images, labels, imagesShape } = golden;
  const prepared = prepareTraining(golden.modelPath, { settings });
  const parts = meta.accumulate?.micro_batches ?? 1;
  const batch = labels.length / parts;
  const gradient = buildGradientGraph(prepared, settings, { batch, isBatchOpen: true });
  const update = buildUpdateGraph(prepared, settings);
  const hasAverage = meta.ema !== undefined;
  const state = initialState(prepared, update.stateLength, hasAverage);
  const driver = await loadDriver();
  const worst = new Map<string, number>();

  if (parts === 1) {
    const session = await driver.createSession(gradient.bytes());
    const { inputs, outputs } = gradient.interface;
    const result = await session.run({
      [inputs.parameters]: { type: 'float32', dims: [state.parameters.length], data: state.parameters },
      [inputs.statistics]: { type: 'float32', dims: [state.statistics.length], data: state.statistics },
      [inputs.images]: { type: 'float32', dims: imagesShape, data: images },
      [inputs.labels!]: { type: 'int64', dims: [labels.length], data: labels },
    });
    await session.close();
    compare(golden, 'logits', result[outputs.logits]!.data as Float32Array, worst);
    const flat = result[outputs.gradient]!.data as Float32Array;
    for (const { name: parameter, offset, size } of prepared.parameters) {
      compare(golden, `grad0/${parameter}`, flat.subarray(offset, offset + size), worst);
    }
  }

  const trainer = await createTrainer({
    driver,
    gradient,
    update,
    state,
    batch,
    averageDecay: meta.ema?.decay,
  });
  try {
    const losses: number[] = [];
    const norms: number[] = [];
    const size = images.length / labels.length;
    for (let step = 0; step < meta.steps; step++) {
      let loss = 0;
      for (let k = 0; k < parts; k++) {
        const micro = await trainer.accumulate({
          images: images.subarray(k * batch * size, (k + 1) * batch * size),
          labels: labels.subarray(k * batch, (k + 1) * batch),
        });
        loss += micro!.loss / parts;
      }
      const updated = await trainer.update(golden.learningRate(step));
      losses.push(loss);
      norms.push(updated!.gradientNorm);
    }
    const expected = golden.results.tensors.get('losses')!.data as Float64Array;
    const { atol } = meta.tensors['losses']!;
    losses.forEach((loss, step) =>
      expect(Math.abs(loss - expected[step]!), `loss of step ${step}`).toBeLessThanOrEqual(atol),
    );
    if (golden.results.tensors.has('norms')) compare(golden, 'norms', norms, worst);
    const reached = await trainer.read();
    const last = `param${meta.steps}`;
    for (const { name: parameter, offset, size: length } of prepared.parameters) {
      compare(golden, `${last}/${parameter}`, reached.parameters.subarray(offset, offset + length), worst);
    }
    for (const { name: statistic, offset, size: length } of prepared.statistics) {
      compare(golden, `${last}/${statistic}`, reached.statistics.subarray(offset, offset + length), worst);
    }
    const buffers: Readonly<Record<string, readonly string[]>> = { adam: ['m', 'v'], adamw: ['m', 'v'] };
    const total = state.parameters.length;
    for (const [k, buffer] of (buffers[settings.optimizer] ?? ['momentum']).entries()) {
      for (const { name: parameter, offset, size: length } of prepared.parameters) {
        const key = `state${meta.steps}/${buffer}/${parameter}`;
        if (!golden.results.tensors.has(key)) continue;
        compare(golden, key, reached.state.subarray(k * total + offset, k * total + offset + length), worst);
      }
    }
    if (hasAverage) {
      for (const { name: parameter, offset, size: length } of prepared.parameters) {
        compare(golden, `ema${meta.steps}/${parameter}`, reached.ema.subarray(offset, offset + length), worst);
      }
      for (const { name: statistic, offset, size: length } of prepared.statistics) {
        const at = total + offset;
        compare(golden, `ema${meta.steps}/${statistic}`, reached.ema.subarray(at, at + length), worst);
      }
    }
  } finally {
    await trainer.close();
    prepared.model.file?.close();
  }
  const rows = [...worst].map(([kind, error]) => `${kind} ${error.toFixed(3)}`);
  process.stdout.write(`${name}: largest error in multiples of the tolerance: ${rows.join(', ')}\n`);
}

describe.skipIf(!hasGoldens)('PyTorch training trajectories (../shared/golden)', () => {
  for (const name of nets) it(name, () => check(name), 60_000);
  for (const name of optimizerCases) it(`optimizers/${name}`, () => check(`optimizers/${name}`), 60_000);
});
