import { join } from 'node:path';
import { inWords, LowrankError } from '../errors.js';
import { type ClassList, readClassList } from '../data/class-list.js';
import { checkPaths, type PathUse, reads, writes } from '../files/conflicts.js';
import { modelReads } from '../graph/model-paths.js';
import { writeFileWhole } from '../files/write-file.js';
import { stageFolder } from '../files/write-folder.js';
import { checkedLimits, limitsOf } from '../limits.js';
import { loadDriver } from '../runtime/driver.js';
import { checkImageSettings, defaultImageSettings } from '../images/image-settings.js';
import { classesOfModel } from '../images/labelled-images.js';
import type { ArtifactsManifest, ArtifactsSettings } from '../contracts/artifacts.js';
import { adaptiveFiles, artifactFiles, manifestOf } from '../step/manifest.js';
import { requirePortable } from '../training/options.js';
import { pause } from '../training/pause.js';
import { encodeSafetensors } from '../files/safetensors.js';
import { checkGraphSettings, defaultGraphSettings } from '../step/settings.js';
import { preparationIfAny } from '../training/settle-images.js';
import { targetOf } from '../lower/target.js';
import { matchingGraphSettings } from '../step/match-settings.js';
import { buildUpdateGraph } from '../step/update-graph.js';
import { initialState } from '../step/vectors.js';
import {
  adaptSettingsOf,
  type ArtifactsAdaptSettings,
  describeAdaptation,
  openAdaptiveStep,
  putStart,
} from './adaptive-step.js';
import { cpuWarnings, emitGraphs, emitSteps } from './emit-step.js';
import { describeFile, openStep, prepareOptions, type TeacherOptions } from './open-step.js';

const defaultArtifactsSettings: ArtifactsSettings = {
  ...defaultGraphSettings,
  ...defaultImageSettings,
  target: 'portable',
  batchSize: null,
};

export interface ArtifactsOptions extends TeacherOptions {
  /** Defaults are those of a training, with a teacher those of a recovery: Adam without decay. */
  readonly settings?: Partial<ArtifactsSettings>;
  /** How ranks are found while the model is trained, `adaptRanks: 'augmented'`. Default: layers keep their form. */
  readonly adapt?: Partial<ArtifactsAdaptSettings> | undefined;
  /** File of the classes in the order of the model's outputs. Default: those that the model names. */
  readonly classes?: string | undefined;
  /** Replace artifacts that are there. */
  readonly force?: boolean;
  /** MiB that the model may need at once; default: the memory of the machine. */
  readonly maxMemory?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Counts graphs that are built and files that are written. */
  readonly onProgress?: (done: number, total: number, detail: string) => void;
}

/**
 * Writes the training of a model as ONNX graphs and flat vectors, for any program with onnxruntime: gradient.onnx,
 * update.onnx, eval.onnx, initial.safetensors and manifest.json, into a folder that appears whole or not at all. It is
 * replaced only with `force`, and only where it holds nothing else. With a `teacher`, the step is that of `recover`: the teacher
 * stands inside the graphs, and no labels are read, unless `match.labelWeight` asks for them. With `adapt` the program finds the ranks of
 * layers: bases.onnx and pairs.onnx are written too.
 * Throws what `readModel` throws, USAGE, UNSUPPORTED for a model that cannot be trained, OUTPUT.
 */
export async function writeArtifacts(
  modelPath: string,
  folder: string,
  options: ArtifactsOptions = {},
): Promise<ArtifactsManifest> {
  const { classes, maxMemory, signal, teacher } = options;
  const usual = teacher === undefined ? {} : matchingGraphSettings;
  const settings: ArtifactsSettings = { ...defaultArtifactsSettings, ...usual, ...options.settings };
  checkSettings(settings);
  const adapt = adaptSettingsOf(options.adapt, settings, teacher);
  checkPaths(artifactPaths(modelPath, folder, teacher));
  const listed = classes === undefined ? undefined : readClassList(classes);
  const files = Object.values({ ...artifactFiles, ...adaptiveFiles });
  const own = adapt === undefined ? artifactFiles : { ...artifactFiles, ...adaptiveFiles };
  const total = emitSteps(settings, adapt !== undefined) + Object.keys(own).length;
  let done = 0;
  const step = async (detail: string): Promise<void> => {
    options.onProgress?.(done++, total, detail);
    await pause(signal);
  };
  const staged = stageFolder(folder, { force: options.force === true, files });
  try {
    options.onProgress?.(done, total, modelPath);
    const { target } = settings;
    const limits = limitsOf(checkedLimits(options));
    const opened =
      adapt === undefined
        ? openStep(modelPath, settings, { teacher, match: options.match, limits })
        : await openAdaptiveStep(modelPath, adapt, prepareOptions(settings, limits), signal);
    const { prepared, matching, adaptive } = opened;
    try {
      requireListed(listed, prepared.goal.classes, classes);
      await pause(signal);
      const graphs = await emitGraphs(opened, settings, await targetOf(target, await loadDriver()), step);
      await pause(signal);
      const update = buildUpdateGraph(prepared, settings);
      const named = classesOfModel(modelPath);
      const described = manifestOf({
        prepared,
        settings,
        preparation: await preparationIfAny(modelPath, settings, { maxMemory, threads: null, signal }),
        classNames: listed ?? (named?.ids.length === prepared.goal.classes ? named : undefined),
        warnings: target === 'cuda' ? cpuWarnings({ ...graphs, update }, settings.batchSize === null) : [],
        model: await describeFile(folder, modelPath, signal),
        loss: opened.loss,
        following: {
          ...(teacher === undefined || matching === undefined
            ? {}
            : { teacher: await describeFile(folder, teacher, signal), matching }),
          ...(adaptive === undefined
            ? {}
            : { adaptation: describeAdaptation(adaptive, prepared, graphs.bases!, settings) }),
        },
        ...graphs,
        update,
      });
      const manifest = inWords(described);
      const initial = initialState(prepared, update.stateLength, false);
      if (adaptive !== undefined) putStart(adaptive, prepared, initial, settings);
      const { parameters, statistics, state } = initial;
      const vectors = Object.entries({ parameters, statistics, state }).map(
        ([name, data]) => [name, { shape: [data.length], data }] as const,
      );
      const put = async (file: string, content: Uint8Array | string): Promise<void> => {
        await step(file);
        writeFileWhole(join(staged.temporaryPath, file), content);
      };
      await put(artifactFiles.gradient, graphs.gradient.bytes());
      await put(artifactFiles.update, update.bytes());
      await put(artifactFiles.eval, graphs.eval.bytes());
      if (adaptive !== undefined) {
        await put(adaptiveFiles.bases, graphs.bases!.bytes());
        await put(adaptiveFiles.pairs, adaptive.adaptation.source);
      }
      await put(artifactFiles.initial, encodeSafetensors(new Map(vectors)));
      await put(artifactFiles.manifest, `${JSON.stringify(manifest, undefined, 2)}\n`);
      staged.commit();
      return manifest;
    } finally {
      await opened.close();
    }
  } finally {
    staged.discard();
  }
}

/** Throws INPUT where a class list has another number of classes than the model. */
function requireListed(listed: ClassList | undefined, classes: number | null, path: string | undefined): void {
  if (listed === undefined || listed.ids.length === classes) return;
  const outputs = classes === null ? 'is no classifier' : `${classes} outputs`;
  throw new LowrankError('INPUT', `the class list has ${listed.ids.length} classes and the model ${outputs}`, {
    ...(path === undefined ? {} : { place: path }),
    remedy: "list the model's classes in the order of its outputs",
  });
}

/** The files that `writeArtifacts` reads and writes. */
export function artifactPaths(modelPath: string, folder: string, teacher?: string): readonly PathUse[] {
  const taught = teacher === undefined ? [] : [reads(teacher, 'the teacher', '--teacher')];
  return [...modelReads(modelPath), ...taught, writes(folder, 'the folder of artifacts', '-o', 'folder')];
}

function checkSettings(settings: ArtifactsSettings): void {
  checkGraphSettings(settings);
  checkImageSettings(settings);
  requirePortable(settings.precision, settings.target);
  if (settings.target === 'cpu' && settings.batchSize === null) {
    throw new LowrankError('USAGE', 'the graphs of --target cpu are made for one batch size', {
      remedy: 'give --batch-size, or leave out --target',
    });
  }
}
