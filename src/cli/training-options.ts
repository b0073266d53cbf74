import { graphRanges } from '../step/ranges.js';
import { type GraphSettings, optimizerNames, precisionNames } from '../contracts/train-settings.js';
import { tieNames } from '../passes/untie.js';

const group = 'Optimization';

/** Options of the emitted training graphs, the same in `train` and `artifacts`. */
export const graphOptions = {
  optimizer: { type: 'string', choices: optimizerNames, group, description: 'update rule (default: sgd)' },
  momentum: { ...graphRanges.momentum, group, description: 'momentum of SGD and RMSprop (default: 0.9)' },
  nesterov: { type: 'boolean', group, description: "Nesterov's form of momentum" },
  beta1: {
    ...graphRanges.beta1,
    group,
    description: 'β₁ of Adam and AdamW: how long the mean gradient remembers (default: 0.9)',
  },
  beta2: {
    ...graphRanges.beta2,
    group,
    description: 'β₂ of Adam and AdamW, α of RMSprop: how long the mean square remembers (default: 0.999)',
  },
  epsilon: { ...graphRanges.epsilon, group, description: 'ε of Adam, AdamW and RMSprop (default: 1e-8)' },
  weightDecay: { ...graphRanges.weightDecay, group, description: 'L2 penalty; decoupled with AdamW (default: 1e-4)' },
  decay: {
    type: 'list',
    isVariadic: true,
    placeholder: 'glob',
    group,
    description: 'parameters that are decayed (default: those of two and more dimensions)',
  },
  frobeniusDecay: {
    ...graphRanges.frobeniusDecay,
    group,
    description: 'decay of the product U·V of each low-rank pair, in place of weight decay (default: 0)',
  },
  labelSmoothing: {
    ...graphRanges.labelSmoothing,
    group,
    description: 'share of the target that all classes get (default: 0)',
  },
  clip: { ...graphRanges.clip, group, description: 'largest norm of the gradient (default: none)' },
  dropout: {
    ...graphRanges.dropout,
    group,
    description: 'share that is dropped before the last dense layer (default: what the model says)',
  },
  dropPath: {
    ...graphRanges.dropPath,
    group,
    description: 'stochastic depth: share of dropped residual branches in the last block (default: 0)',
  },
  freeze: {
    type: 'list',
    isVariadic: true,
    placeholder: 'glob',
    group,
    description: 'parameters that are not trained',
  },
  trainAlso: {
    type: 'list',
    isVariadic: true,
    placeholder: 'glob',
    group,
    description:
      'stored tensors that are trained though they look like constants (--explain lists what is not trained)',
  },
  tie: {
    type: 'string',
    choices: tieNames,
    group,
    description:
      'initializers that several layers read are one parameter: always, never, or auto: all but those of equal elements, such as zeros (default: auto)',
  },
  precision: {
    type: 'string',
    choices: precisionNames,
    group,
    description: 'what operators that gain from it compute in; weights stay float32 (default: float32)',
  },
} as const;

/** The settings of options that were given. */
export function givenGraphSettings(settings: {
  readonly optimizer: GraphSettings['optimizer'] | undefined;
  readonly momentum: number | undefined;
  readonly nesterov: boolean | undefined;
  readonly beta1: number | undefined;
  readonly beta2: number | undefined;
  readonly epsilon: number | undefined;
  readonly weightDecay: number | undefined;
  readonly decay: readonly string[];
  readonly frobeniusDecay: number | undefined;
  readonly labelSmoothing: number | undefined;
  readonly clip: number | undefined;
  readonly dropout: number | undefined;
  readonly dropPath: number | undefined;
  readonly freeze: readonly string[];
  readonly trainAlso: readonly string[];
  readonly tie: GraphSettings['tie'] | undefined;
  readonly precision: GraphSettings['precision'] | undefined;
}): Partial<GraphSettings> {
  const list = (globs: readonly string[]): readonly string[] | undefined => (globs.length > 0 ? globs : undefined);
  return given({
    optimizer: settings.optimizer,
    momentum: settings.momentum,
    nesterov: settings.nesterov,
    beta1: settings.beta1,
    beta2: settings.beta2,
    epsilon: settings.epsilon,
    weightDecay: settings.weightDecay,
    frobeniusDecay: settings.frobeniusDecay,
    labelSmoothing: settings.labelSmoothing,
    clip: settings.clip,
    dropout: settings.dropout,
    dropPath: settings.dropPath,
    tie: settings.tie,
    precision: settings.precision,
    decay: list(settings.decay),
    freeze: list(settings.freeze),
    trainAlso: list(settings.trainAlso),
  } satisfies Record<keyof GraphSettings, unknown>);
}

/** Without what is undefined. */
export function given<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
}
