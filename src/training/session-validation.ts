import { sizeOf } from '../ops/support/layout.js';
import type { Loader } from '../data/loader.js';
import type { ImageSource } from '../data/types.js';
import { type Predictions, summarizePredictions } from '../evaluate/eval-summary.js';
import { evaluate, type Predict } from '../evaluate/evaluate.js';
import { misplaced } from '../runtime/placement.js';
import type { Driver, Session, SessionOptions } from '../runtime/types.js';
import type { EvalGraph } from '../step/eval-graph.js';
import { blankTargets, losses } from '../step/losses/index.js';
import type { Prepared } from '../step/prepare.js';
import type { TrainSettings } from './options.js';
import type { Closers, TrainingSession } from './session.js';
import type { SessionLoaders } from './session-images.js';
import type { Trainer } from './trainer.js';
import { untilAborted } from './until-aborted.js';

export interface ValidatorOptions {
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly settings: TrainSettings;
  readonly prepared: Prepared;
  readonly graph: EvalGraph;
  readonly validation: ImageSource | undefined;
  readonly loaders: SessionLoaders;
  readonly hasByteImages: boolean;
  /** Where the weights lie that are validated. */
  readonly trainer: () => Trainer;
  readonly warn: (line: string) => void;
  readonly closers: Closers;
}

/** See `TrainingSession.validate`: session and loader are opened the first time. */
export function createValidator(options: ValidatorOptions): TrainingSession['validate'] {
  const { driver, session, settings, prepared, validation, loaders, hasByteImages, closers } = options;
  let opened: { readonly graph: EvalGraph; readonly evaluator: Session } | undefined;
  let loader: Loader | undefined;
  closers.push(async () => {
    await loader?.close();
    await opened?.evaluator.close();
  });
  const open = async (graph: EvalGraph): Promise<Session> => {
    if (opened?.graph === graph) return opened.evaluator;
    await opened?.evaluator.close();
    opened = undefined;
    const evaluator = await driver.createSession(graph.bytes(), { ...session, sharedArena: true });
    opened = { graph, evaluator };
    const fact = misplaced(evaluator, settings.device, 'the eval graph');
    if (fact !== undefined) options.warn(fact);
    return evaluator;
  };
  return async (onProgress, signal) => {
    if (validation === undefined) return undefined;
    const trainer = options.trainer();
    const { parameters, statistics } = await trainer.weights();
    const graph = trainer.evaluation ?? options.graph;
    const evaluator = await open(graph);
    loader ??= loaders.validation(validation, settings.batchSize);
    const { inputs, outputs } = graph.interface;
    const binding = evaluator.bind();
    binding.bindInput(inputs.parameters, parameters);
    binding.bindInput(inputs.statistics, statistics);
    const predict: Predict = async (given, givenDims) => {
      const size = prepared.ownBatch ?? givenDims[0]!;
      const dims = [size, ...givenDims.slice(1)];
      const data = filledUp(given, sizeOf(dims));
      const logits = new Float32Array(size * prepared.classes);
      binding.bindInput(inputs.images, { type: hasByteImages ? 'uint8' : 'float32', dims, data });
      for (const [name, blank] of Object.entries(blankTargets(prepared.goal.targets, size)))
        binding.bindInput(name, blank);
      binding.bindOutput(outputs.logits, { type: 'float32', dims: [size, prepared.classes], data: logits });
      await binding.run({ signal });
      return logits.subarray(0, givenDims[0]! * prepared.classes);
    };
    let predictions: Predictions;
    try {
      predictions = await evaluate(untilAborted(loader.batches(0), signal), predict, {
        classes: prepared.classes,
        end: losses[prepared.loss].classes === 'one' ? 'logits' : 'sigmoid-logits',
        signal,
        onProgress: (done) => onProgress(done, validation.length),
      });
    } finally {
      binding.close();
    }
    const { loss, top1, top5 } = summarizePredictions(predictions, validation.titles);
    return { loss, top1, top5 };
  };
}

/** With zeros behind it, where a batch is the last and smaller. */
function filledUp<Data extends Float32Array | Uint8Array>(data: Data, length: number): Data {
  if (data.length >= length) return data;
  const filled = (data instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length)) as Data;
  filled.set(data);
  return filled;
}
