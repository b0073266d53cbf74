/** One contender of bench/train-step.ts: node train-step-worker.js model.onnx batch threads */
import { createInterface } from 'node:readline';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { defaultTrainSettings, trainSessionOptions } from '../../src/training/options.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings, type GraphSettings } from '../../src/step/settings.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { createTrainer } from '../../src/training/trainer.js';
import { initialState } from '../../src/step/vectors.js';
import { targetOf } from '../../src/lower/target.js';
import { randomStream, fillTruncatedNormal } from '../../src/random.js';
import { loadDriver } from '../../src/runtime/driver.js';

const [path, batchText, threadsText] = process.argv.slice(2) as [string, string, string];
const [batch, threads] = [Number(batchText), Number(threadsText)];
const settings: GraphSettings = {
  ...defaultGraphSettings,
  optimizer: 'sgd',
  momentum: 0.9,
  weightDecay: 1e-4,
  labelSmoothing: 0.1,
};
const driver = await loadDriver();
const { build, opsets, graphOptimization } = await targetOf('cpu', driver);
const prepared = prepareTraining(path, { settings });
const gradient = buildGradientGraph(prepared, settings, { batch, isBatchOpen: false }, build, opsets);
const update = buildUpdateGraph(prepared, settings);
const { imageDims, classes } = prepared;
const state = initialState(prepared, update.stateLength, false);
const session = trainSessionOptions({ ...defaultTrainSettings, threads });
const trainer = await createTrainer({
  ...{ driver, gradient, update, state, batch, session, graphOptimization },
});
const images = new Float32Array(batch * imageDims.reduce((product, dim) => product * dim, 1));
fillTruncatedNormal(randomStream(0, 'images'), images, 0, 1);
const labels = BigInt64Array.from({ length: batch }, (_, i) => BigInt((i * 37) % classes));

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
say({ parameters: state.parameters.length });
for await (const line of createInterface({ input: process.stdin })) {
  const milliseconds: number[] = [];
  const processor = process.cpuUsage();
  for (let i = 0; i < Number(line); i++) {
    const started = performance.now();
    await trainer.accumulate({ images, labels });
    await trainer.update(0.01);
    milliseconds.push(performance.now() - started);
  }
  const { user, system } = process.cpuUsage(processor);
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  say({ milliseconds, processorMilliseconds: (user + system) / 1000 / milliseconds.length, peakMiB });
}
await trainer.close();
