import { axesOf, withCores } from '../adapt/cores.js';
import { type AdaptedLayer, coreName, fullRank } from '../adapt/layers.js';
import { withRoles } from '../adapt/roles.js';
import {
  type AdaptSettings,
  adaptNames,
  adaptRanges,
  adaptSchemes,
  checkAdaptSettings,
  defaultAdaptSettings,
} from '../adapt/settings.js';
import { basisNames, putFactors } from '../adapt/state.js';
import type {
  AdaptedPlace,
  AdaptedTensor,
  ArtifactsAdaptation,
  ArtifactsAdaptedLayer,
  ArtifactsSettings,
} from '../contracts/artifacts.js';
import { LowrankError } from '../errors.js';
import { checkChoices, checkRanges } from '../range.js';
import { loadDriver } from '../runtime/driver.js';
import { lengthOf, type Slot } from '../step/flat.js';
import type { Trainable } from '../step/goals/goal.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import { adaptiveFiles } from '../step/manifest.js';
import { type Prepared, type PrepareTrainingOptions, prepareTraining } from '../step/prepare.js';
import { updateRules } from '../step/rules/index.js';
import type { TrainingState } from '../step/vectors.js';
import { type Adaptation, coefficientsOnly, homeModel, largestRanks, openAdaptation } from '../training/adaptation.js';
import type { Closers } from '../training/session.js';
import type { OpenedStep } from './open-step.js';

/** How the ranks of layers are found; a cut is by the tolerance, for how long a training lasts is the program's own. */
export type ArtifactsAdaptSettings = Omit<AdaptSettings, 'targetParams' | 'targetMacs'>;

/** Layers whose ranks are found by the program that trains them. */
export interface AdaptiveStep {
  readonly settings: AdaptSettings;
  readonly adaptation: Adaptation;
  /** The same model with room for ranks alone, whose parameters are the bases. */
  readonly bases: Trainable;
}

/**
 * The settings of layers whose ranks are found; undefined where they keep their form. Throws USAGE for those that do not go together,
 * and for methods that are not published.
 */
export function adaptSettingsOf(
  chosen: Partial<ArtifactsAdaptSettings> | undefined,
  { frobeniusDecay }: Pick<ArtifactsSettings, 'frobeniusDecay'>,
  teacher: string | undefined,
): AdaptSettings | undefined {
  const settings: AdaptSettings = { ...defaultAdaptSettings, ...chosen, targetParams: null, targetMacs: null };
  const { adaptRanks } = settings;
  checkRanges(adaptRanges, settings);
  checkChoices({ scheme: adaptSchemes }, settings);
  if (adaptRanks !== null) checkChoices({ adaptRanks: adaptNames }, { adaptRanks });
  checkAdaptSettings({ ...settings, insertBn: false, frobeniusDecay: adaptRanks === null ? 0 : frobeniusDecay });
  if (adaptRanks === null) return undefined;
  if (adaptRanks !== 'augmented') {
    throw new LowrankError('USAGE', 'the method whose step is published is augmented', {
      place: `--adapt-ranks ${adaptRanks}`,
      remedy: 'give --adapt-ranks augmented',
    });
  }
  if (teacher !== undefined) {
    throw new LowrankError('USAGE', 'ranks are found by labels, and not towards a teacher', {
      place: '--adapt-ranks, --teacher',
      remedy: 'give one of them',
    });
  }
  return settings;
}

/** Throws as `openAdaptation` and `prepareTraining` do, USAGE where a basis is frozen. */
export async function openAdaptiveStep(
  modelPath: string,
  settings: AdaptSettings,
  options: PrepareTrainingOptions,
  signal: AbortSignal | undefined,
): Promise<OpenedStep> {
  const closers: Closers = [];
  const prepare = (source: string | Uint8Array): Prepared => {
    const prepared = prepareTraining(source, options);
    closers.push(() => prepared.model.file?.close());
    return prepared;
  };
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const all = { ...settings, threads: null, freeze: options.settings.freeze };
    const adaptation = await openAdaptation(modelPath, prepare(modelPath), all, await loadDriver(), signal, closers);
    const { source, layers } = adaptation;
    const prepared = coefficientsOnly(prepare(homeModel(adaptation, settings)), adaptation);
    const names = basisNames(layers);
    const narrow = prepare(withCores(source, layers, largestRanks(adaptation)));
    const bases = withRoles(narrow, ({ name }) => names.has(name));
    return { prepared, loss: prepared.loss, matching: undefined, adaptive: { settings, adaptation, bases }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Puts what layers begin with into a state. */
export function putStart(
  { adaptation: { layers, start } }: AdaptiveStep,
  { parameters, statistics }: Trainable,
  state: TrainingState,
  { optimizer }: ArtifactsSettings,
): void {
  putFactors({ state, layout: { parameters, statistics, optimizer } }, layers, start);
}

/** What the manifest says of how ranks are found. */
export function describeAdaptation(
  { settings, adaptation, bases }: AdaptiveStep,
  prepared: Trainable,
  graph: GradientGraph,
  own: ArtifactsSettings,
): ArtifactsAdaptation {
  const { layers, start, rule } = adaptation;
  const most = largestRanks(adaptation);
  const tensorOf = placesIn(prepared, bases);
  const { masks, ...inputs } = graph.interface.inputs;
  const slots = (of: readonly Slot[]): Slot[] =>
    of.map(({ name, shape, offset, size }) => ({ name, shape, offset, size }));
  return {
    method: 'augmented',
    tolerance: rule.tolerance,
    coefficientSteps: settings.coefficientSteps,
    buffers: updateRules[own.optimizer].buffers(own),
    pairs: { file: adaptiveFiles.pairs },
    bases: {
      file: adaptiveFiles.bases,
      inputs: { ...inputs, masks: masks.map(({ name }) => name) },
      outputs: graph.interface.outputs,
      lengths: { parameters: lengthOf(bases.parameters), statistics: lengthOf(bases.statistics) },
      parameters: slots(bases.parameters),
      statistics: slots(bases.statistics),
    },
    layers: layers.map((layer, at): ArtifactsAdaptedLayer => {
      const axes = axesOf(layer);
      const core = tensorOf(coreName(layer), axes.core);
      return {
        name: layer.name,
        label: layer.label,
        rows: layer.rows,
        cols: layer.cols,
        scheme: layer.scheme,
        startRank: start[at]!.core.rows,
        minRank: Math.min(rule.minRank, fullRank(layer)),
        maxRank: most[at]!,
        capacity: core.coefficients.shape[0]!,
        right: tensorOf(layer.right, axes.right),
        core,
        left: tensorOf(layer.left, axes.left),
      };
    }),
  };
}

type TensorOf = (name: AdaptedLayer['left'], axes: readonly number[]) => AdaptedTensor;

function placesIn(coefficients: Trainable, bases: Trainable): TensorOf {
  const placeOf = (of: Trainable, name: string): AdaptedPlace => {
    for (const vector of ['parameters', 'statistics'] as const) {
      const slot = of[vector].find((each) => each.name === name);
      if (slot !== undefined) return { vector, offset: slot.offset, size: slot.size, shape: slot.shape };
    }
    throw new LowrankError('INTERNAL', `'${name}' lies in no vector`);
  };
  return (name, axes) => ({
    ...{ name, axes },
    coefficients: placeOf(coefficients, name),
    bases: placeOf(bases, name),
  });
}
