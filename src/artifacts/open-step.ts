import { basename, relative, resolve } from 'node:path';
import type {
  ArtifactsManifest,
  ArtifactsMatching,
  ArtifactsModel,
  ArtifactsSettings,
} from '../contracts/artifacts.js';
import { fileSha256 } from '../files/hash.js';
import { paced } from '../files/pieces.js';
import { requireSamePreparation } from '../images/same-preparation.js';
import type { RunLimits } from '../limits.js';
import type { Trainable } from '../step/goals/goal.js';
import { checkMatchSettings, defaultMatchSettings, type MatchSettings } from '../step/match-settings.js';
import { type PrepareTrainingOptions, prepareTraining } from '../step/prepare.js';
import { describeMatching, prepareMatching } from '../step/prepare-matching.js';
import type { AdaptiveStep } from './adaptive-step.js';

/** What a step minimizes beside labels. */
export interface TeacherOptions {
  /** The model that the other is made to compute again. Default: none, labels alone. */
  readonly teacher?: string | undefined;
  /** How it is followed; only with a teacher. */
  readonly match?: Partial<MatchSettings> | undefined;
}

/** A model made ready for the step that is published, open until `close`. */
export interface OpenedStep {
  readonly prepared: Trainable;
  readonly loss: ArtifactsManifest['loss'];
  /** Of a step with a teacher. */
  readonly matching: ArtifactsMatching | undefined;
  /** Of a step whose layers find their ranks. */
  readonly adaptive?: AdaptiveStep;
  close(): void | Promise<void>;
}

/** How the model of a step is made ready. */
export function prepareOptions(settings: ArtifactsSettings, limits: RunLimits): PrepareTrainingOptions {
  const { imageSize } = settings;
  return { settings, limits, ...(imageSize === null ? {} : { imageSize }) };
}

/** Throws as `prepareTraining` and `prepareMatching` do. */
export function openStep(
  modelPath: string,
  settings: ArtifactsSettings,
  { teacher, match: chosen, limits }: TeacherOptions & { readonly limits: RunLimits },
): OpenedStep {
  const options = prepareOptions(settings, limits);
  if (teacher === undefined) {
    const prepared = prepareTraining(modelPath, options);
    return { prepared, loss: prepared.loss, matching: undefined, close: () => prepared.model.file?.close() };
  }
  const match = { ...defaultMatchSettings, ...chosen };
  checkMatchSettings({ ...settings, ...match });
  const prepared = prepareMatching(modelPath, teacher, { ...options, match });
  const close = (): void => {
    prepared.model.file?.close();
    prepared.teacher.model.file?.close();
  };
  try {
    requireSamePreparation(
      { path: modelPath, metadata: prepared.model.metadata },
      { path: teacher, metadata: prepared.teacher.model.metadata },
      settings,
    );
  } catch (error) {
    close();
    throw error;
  }
  return {
    prepared,
    loss: 'matching',
    matching: { ...match, ...describeMatching(prepared) },
    close,
  };
}

/** A model file as the manifest of a folder says it. Throws ABORTED, and what reading it throws. */
export async function describeFile(
  folder: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<ArtifactsModel> {
  return { file: basename(path), sha256: await paced(fileSha256(path), { signal }), path: pathFrom(folder, path) };
}

/** The way from a folder to a file, where there is one: on Windows another drive has none. */
function pathFrom(folder: string, file: string): string {
  return relative(resolve(folder), resolve(file)).replaceAll('\\', '/');
}
