import { join } from 'node:path';
import { inWords, LowrankError } from '../errors.js';
import { type ClassList, readClassList } from '../data/class-list.js';
import { checkPaths, type PathUse, reads, writes } from '../files/conflicts.js';
import { modelReads } from '../graph/model-paths.js';
import { writeFileWhole } from '../files/write-file.js';
import { stageFolder } from '../files/write-folder.js';
import { cpuNodes, describeCpuNodes, isOfShapes } from '../lower/cuda/placement.js';
import { inferShapes } from '../ops/infer.js';
import { plural } from '../report/format.js';
import { checkedLimits, limitsOf } from '../limits.js';
import { loadDriver } from '../runtime/driver.js';
import type { EmitSettings, EmittedGraph } from '../step/emitted.js';
import { buildEvalGraph, type EvalGraph } from '../step/eval-graph.js';
import { buildGradientGraph, type GradientGraph } from '../step/gradient-graph.js';
import { checkImageSettings, defaultImageSettings } from '../images/image-settings.js';
import { classesOfModel } from '../images/labelled-images.js';
import type { ArtifactsManifest, ArtifactsSettings } from '../contracts/artifacts.js';
import { artifactFiles, manifestOf } from '../step/manifest.js';
import { requirePortable } from '../training/options.js';
import { pause } from '../training/pause.js';
import type { Trainable } from '../step/goals/goal.js';
import { requireSameGraph } from '../step/same-graph.js';
import { encodeSafetensors } from '../files/safetensors.js';
import { checkGraphSettings, defaultGraphSettings } from '../step/settings.js';
import { preparationIfAny } from '../training/settle-images.js';
import { type Target, targetOf } from '../lower/target.js';
import { matchingGraphSettings } from '../step/match-settings.js';
import { buildUpdateGraph } from '../step/update-graph.js';
import { initialState } from '../step/vectors.js';
import { describeFile, openStep, type TeacherOptions } from './open-step.js';

const defaultArtifactsSettings: ArtifactsSettings = {
  ...defaultGraphSettings,
  ...defaultImageSettings,
  target: 'portable',
  batchSize: null,
};

export interface ArtifactsOptions extends TeacherOptions {
  /** Defaults are those of a training, with a teacher those of a recovery: Adam without decay. */
  readonly settings?: Partial<ArtifactsSettings>;
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
 * stands inside the graphs, and no labels are read, unless `match.labelWeight` asks for them.
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
  checkPaths(artifactPaths(modelPath, folder, teacher));
  const listed = classes === undefined ? undefined : readClassList(classes);
  const total = (settings.batchSize === null ? 4 : 2) + Object.keys(artifactFiles).length;
  let done = 0;
  const step = async (detail: string): Promise<void> => {
    options.onProgress?.(done++, total, detail);
    await pause(signal);
  };
  const staged = stageFolder(folder, { force: options.force === true, files: Object.values(artifactFiles) });
  try {
    options.onProgress?.(done, total, modelPath);
    const { target } = settings;
    const limits = limitsOf(checkedLimits(options));
    const opened = openStep(modelPath, settings, { teacher, match: options.match, limits });
    const { prepared, matching } = opened;
    try {
      requireListed(listed, prepared.goal.classes, classes);
      await pause(signal);
      const emitted = emitter(prepared, settings, await targetOf(target, await loadDriver()), step);
      const graphs = await (settings.batchSize === null ? openGraphs(emitted) : emitted(settings.batchSize, false));
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
        following:
          teacher === undefined || matching === undefined
            ? {}
            : { teacher: await describeFile(folder, teacher, signal), matching },
        ...graphs,
        update,
      });
      const manifest = inWords(described);
      const { parameters, statistics, state } = initialState(prepared, update.stateLength, false);
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
      await put(artifactFiles.initial, encodeSafetensors(new Map(vectors)));
      await put(artifactFiles.manifest, `${JSON.stringify(manifest, undefined, 2)}\n`);
      staged.commit();
      return manifest;
    } finally {
      opened.close();
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

/** What runs on the CPU in a CUDA session. */
function cpuWarnings(graphs: Readonly<Record<GraphName, EmittedGraph>>, isBatchOpen: boolean): string[] {
  const warnings: string[] = [];
  for (const name of graphNames) {
    const { model } = graphs[name];
    const nodes = cpuNodes(model, inferShapes(model));
    const line = describeCpuNodes(
      nodes.filter((node) => !isOfShapes(node)),
      artifactFiles[name],
    );
    if (line !== undefined) warnings.push(line);
    const shapes = nodes.filter(isOfShapes).length;
    if (shapes === 0) continue;
    const remedy = isBatchOpen ? '; --batch-size leaves none' : '';
    warnings.push(
      `onnxruntime computes with shapes on the CPU: ${plural(shapes, 'node')} of ${artifactFiles[name]}${remedy}`,
    );
  }
  return warnings;
}

const graphNames = ['gradient', 'update', 'eval'] as const;
type GraphName = (typeof graphNames)[number];

interface BatchGraphs {
  readonly gradient: GradientGraph;
  readonly eval: EvalGraph;
}

type EmitGraphs = (batch: number, isBatchOpen: boolean) => Promise<BatchGraphs>;

function emitter(
  prepared: Trainable,
  settings: ArtifactsSettings,
  target: Target,
  step: (detail: string) => Promise<void>,
): EmitGraphs {
  return async (batch, isBatchOpen) => {
    const emit: EmitSettings = { batch, isBatchOpen, passes: target.passes };
    await step('the gradient graph');
    const gradient = buildGradientGraph(prepared, settings, emit, target.build, target.opsets);
    await step('the eval graph');
    return { gradient, eval: buildEvalGraph(prepared, emit) };
  };
}

/** Two batch sizes that differ from each other and from what models are exported for. */
const probes = [3, 5] as const;

/**
 * Graphs for any batch size. That nothing in them depends on the size they were emitted with is checked by emitting them
 * for another: every byte must be the same. Throws UNSUPPORTED naming the first difference.
 */
async function openGraphs(emit: EmitGraphs): Promise<BatchGraphs> {
  const graphs = await emit(probes[0], true);
  const others = await emit(probes[1], true);
  requireSameGraph(graphs.gradient, others.gradient);
  requireSameGraph(graphs.eval, others.eval);
  return graphs;
}
