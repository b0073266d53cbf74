import type { Binding, Session } from '../runtime/types.js';
import type { BatchFeed, BatchInput } from './batch-feed.js';
import type { StepGraphs } from './step-sessions.js';
import type { StepScalars } from './step-scalars.js';
import type { StepVectors } from './step-vectors.js';
import type { TrainerOptions } from './trainer.js';
import type { Vector } from './training-memory.js';

/** What the gradient graph is fed beside the vectors and scalars of the training. */
export function batchInputs({ gradient, batch }: Pick<TrainerOptions, 'gradient' | 'batch'>): readonly BatchInput[] {
  const { images, flips, masks } = gradient.interface.inputs;
  return [
    { name: images, type: gradient.images.type, dims: [batch, ...gradient.images.dims] },
    ...(flips === undefined ? [] : [{ name: flips, type: 'bool' as const, dims: [batch] }]),
    ...gradient.targets.map(({ name, type, dims }) => ({ name, type, dims: [batch, ...dims] })),
    ...masks.map(({ name, shape }) => ({ name, type: 'float32' as const, dims: [batch, ...shape] })),
  ];
}

/** The bindings of both graphs of a step to vectors that take turns: one for each turn, made when it first comes. */
export interface StepBindings {
  /** Of a run that writes its gradient to `target`: the first since the last update, or a further one. */
  gradient(target: Vector, isFirst: boolean): Binding;
  update(): Binding;
  /** Whether a binding was made since the last call: where runs are recorded, its first run is. */
  takeIsNew(): boolean;
  close(): void;
}

export function stepBindings(
  { gradient, update }: Pick<TrainerOptions, 'gradient' | 'update'>,
  graphs: StepGraphs,
  { parameters, statistics, optimizer, firstGradient }: StepVectors,
  feed: BatchFeed,
  { rate, counter, scale, loss, correct, norm }: StepScalars,
): StepBindings {
  const bindings = new Map<string, Binding>();
  let isNew = false;
  const bound = (key: string, session: Session, bind: (binding: Binding) => void): Binding => {
    let binding = bindings.get(key);
    if (binding !== undefined) return binding;
    binding = session.bind();
    bindings.set(key, binding);
    bind(binding);
    isNew = true;
    return binding;
  };
  return {
    gradient: (target, isFirst) =>
      bound(`gradient ${parameters.index} ${statistics.key} ${feed.index} ${isFirst}`, graphs.gradient, (made) => {
        const { inputs, outputs } = gradient.interface;
        made.bindInput(inputs.parameters, parameters.current.tensor);
        made.bindInput(inputs.statistics, statistics.current.tensor);
        for (const [name, tensor] of feed.tensors) made.bindInput(name, tensor);
        if (inputs.scale !== undefined) made.bindInput(inputs.scale, scale.tensor);
        loss.bind(made, outputs.loss);
        correct.bind(made, outputs.correct);
        made.bindOutput(outputs.gradient, target.tensor);
        made.bindOutput(outputs.statistics, statistics.next.tensor);
      }),
    update: () =>
      bound(`update ${parameters.index} ${optimizer.index}`, graphs.update, (made) => {
        const { inputs, outputs } = update.interface;
        made.bindInput(inputs.parameters, parameters.current.tensor);
        made.bindInput(inputs.gradient, firstGradient.tensor);
        made.bindInput(inputs.state, optimizer.current.tensor);
        made.bindInput(inputs.learningRate, rate.tensor);
        made.bindInput(inputs.step, counter.tensor);
        made.bindOutput(outputs.parameters, parameters.other.tensor);
        made.bindOutput(outputs.state, optimizer.other.tensor);
        norm.bind(made, outputs.gradientNorm);
      }),
    takeIsNew: () => {
      const was = isNew;
      isNew = false;
      return was;
    },
    close: () => {
      for (const binding of bindings.values()) binding.close();
    },
  };
}
