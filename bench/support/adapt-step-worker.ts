/** One contender of bench/adapt-step.ts: node adapt-step-worker.js model.onnx method batch threads; `plain` trains the model as it is. */
import { createInterface } from 'node:readline';
import type { AdaptName } from '../../src/adapt/settings.js';
import { putFactors } from '../../src/adapt/state.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { type Prepared, prepareTraining } from '../../src/step/prepare.js';
import { updateRules } from '../../src/step/rules/index.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { blankState, initialState, type TrainingState } from '../../src/step/vectors.js';
import { type Adaptation, coefficientsOnly, homeModel, openAdaptation } from '../../src/training/adaptation.js';
import { adaptiveGraphs, layoutOf, type Side } from '../../src/training/adaptive-graphs.js';
import { AdaptiveTrainer } from '../../src/training/adaptive-trainer.js';
import { defaultTrainSettings, type TrainSettings, trainSessionOptions } from '../../src/training/options.js';
import { graphContext, gradientOf } from '../../src/training/session-graphs.js';
import type { Trainer } from '../../src/training/trainer.js';
import { createTrainer } from '../../src/training/trainer.js';

const [path, method, batchText, threadsText] = process.argv.slice(2) as [string, AdaptName | 'plain', string, string];
const [batchSize, threads] = [Number(batchText), Number(threadsText)];
const settings: TrainSettings = {
  ...defaultTrainSettings,
  ...{ adaptRanks: method === 'plain' ? null : method, epochs: 1, momentum: 0.9, batchSize, threads },
};
const driver = await loadDriver();
const context = await graphContext(settings, false, driver);
const whole = prepareTraining(path, { settings });

function open(
  { gradient, update }: Pick<Side, 'gradient' | 'update'>,
  state: TrainingState,
  step = 0,
): Promise<Trainer> {
  return createTrainer({
    ...{ driver, gradient, update, state, step, batch: batchSize, session: trainSessionOptions(settings) },
    graphOptimization: context.target.graphOptimization,
  });
}

async function openPlain(prepared: Prepared): Promise<Trainer> {
  const update = buildUpdateGraph(prepared, settings);
  const state = initialState(prepared, update.stateLength, false);
  return open({ gradient: gradientOf(prepared, settings, context), update }, state);
}

/** Ranks stay: a cut goes back to those that the model has. */
async function openAdaptive(): Promise<Trainer> {
  const found = await openAdaptation(path, whole, settings, driver, undefined, []);
  const rule = { ...found.rule, tolerance: 1e-7, mostOf: ({ rank }: Adaptation['layers'][number]) => rank };
  const adaptation = { ...found, rule };
  const prepared = coefficientsOnly(prepareTraining(homeModel(adaptation, settings), { settings }), adaptation);
  const { stateLength } = buildUpdateGraph(prepared, settings);
  const home = layoutOf(prepared, settings);
  const state = initialState(prepared, stateLength, false);
  putFactors({ state, layout: home }, adaptation.layers, adaptation.start);
  const stepsPerEpoch = 1000 * (settings.coefficientSteps + 1);
  const options = {
    ...{ adaptation, method: method as AdaptName, coefficientSteps: settings.coefficientSteps, stepsPerEpoch, home },
    updates: stepsPerEpoch,
    kinds: updateRules[settings.optimizer].buffers(settings),
    blank: () => blankState(prepared, stateLength, false),
    build: (capacities: Parameters<typeof adaptiveGraphs>[1]) =>
      adaptiveGraphs(adaptation, capacities, settings, context, {}),
    open,
  };
  return AdaptiveTrainer.start(options, state, 0, undefined);
}

const trainer = method === 'plain' ? await openPlain(whole) : await openAdaptive();
const { imageDims, classes, parameters } = whole;
const images = new Float32Array(batchSize * imageDims.reduce((product, dim) => product * dim, 1));
fillTruncatedNormal(randomStream(0, 'images'), images, 0, 1);
const labels = BigInt64Array.from({ length: batchSize }, (_, i) => BigInt((i * 37) % classes));

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
const count = ({ shape }: Prepared['parameters'][number]): number => shape.reduce((product, dim) => product * dim, 1);
say({ parameters: parameters.reduce((sum, parameter) => sum + count(parameter), 0) });
for await (const line of createInterface({ input: process.stdin })) {
  const processor = process.cpuUsage();
  const started = performance.now();
  const steps = Number(line);
  for (let i = 0; i < steps; i++) {
    await trainer.accumulate({ images, labels });
    await trainer.update(1e-4);
  }
  // The steps of a cycle differ: their mean is what one takes.
  const milliseconds = [(performance.now() - started) / steps];
  const { user, system } = process.cpuUsage(processor);
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  const found = await trainer.found?.();
  say({
    ...{ milliseconds, processorMilliseconds: (user + system) / 1000 / steps, peakMiB },
    linearAlgebraMilliseconds: ((found?.seconds ?? 0) * 1000) / steps,
  });
}
await trainer.close();
process.exit();
