import { cpuNodes, describeCpuNodes, isOfShapes } from '../lower/cuda/placement.js';
import type { Target } from '../lower/target.js';
import { inferShapes } from '../ops/infer.js';
import { plural } from '../report/format.js';
import type { ArtifactsSettings } from '../contracts/artifacts.js';
import type { EmitSettings, EmittedGraph } from '../step/emitted.js';
import { buildEvalGraph, type EvalGraph } from '../step/eval-graph.js';
import type { Trainable } from '../step/goals/goal.js';
import { buildGradientGraph, type GradientGraph } from '../step/gradient-graph.js';
import { adaptiveFiles, artifactFiles } from '../step/manifest.js';
import { requireSameGraph } from '../step/same-graph.js';
import type { UpdateGraph } from '../step/update-graph.js';
import type { OpenedStep } from './open-step.js';

/** The graphs of a step that see images. */
export interface BatchGraphs {
  readonly gradient: GradientGraph;
  readonly eval: EvalGraph;
  /** Where ranks are found: the gradient graph of the bases. */
  readonly bases: GradientGraph | undefined;
}

/** Two batch sizes that differ from each other and from what models are exported for. */
const probes = [3, 5] as const;

/**
 * Graphs for the batch size of the settings, or for any. That nothing in these depends on the size they were emitted with is checked by
 * emitting them for another: every byte must be the same. Throws UNSUPPORTED naming the first difference. `step` is told what comes.
 */
export async function emitGraphs(
  { prepared, adaptive }: Pick<OpenedStep, 'prepared' | 'adaptive'>,
  settings: ArtifactsSettings,
  target: Target,
  step: (detail: string) => Promise<void>,
): Promise<BatchGraphs> {
  const emit = async (batch: number, isBatchOpen: boolean): Promise<BatchGraphs> => {
    const how: EmitSettings = { batch, isBatchOpen, passes: target.passes };
    const gradientOf = (of: Trainable): GradientGraph =>
      buildGradientGraph(of, settings, how, target.build, target.opsets);
    await step('the gradient graph');
    const gradient = gradientOf(prepared);
    await step('the eval graph');
    const evaluation = buildEvalGraph(prepared, how);
    if (adaptive !== undefined) await step('the gradient graph of the bases');
    return { gradient, eval: evaluation, bases: adaptive && gradientOf(adaptive.bases) };
  };
  if (settings.batchSize !== null) return emit(settings.batchSize, false);
  const graphs = await emit(probes[0], true);
  const others = await emit(probes[1], true);
  requireSameGraph(graphs.gradient, others.gradient);
  requireSameGraph(graphs.eval, others.eval);
  if (graphs.bases !== undefined) requireSameGraph(graphs.bases, others.bases!);
  return graphs;
}

/** How often `emitGraphs` calls `step`. */
export function emitSteps({ batchSize }: ArtifactsSettings, isAdaptive: boolean): number {
  return (isAdaptive ? 3 : 2) * (batchSize === null ? 2 : 1);
}

/** What runs on the CPU in a CUDA session. */
export function cpuWarnings(graphs: BatchGraphs & { readonly update: UpdateGraph }, isBatchOpen: boolean): string[] {
  const { gradient, update, eval: evaluation, bases } = graphs;
  return [
    ...warningsOf(gradient, artifactFiles.gradient, isBatchOpen),
    ...warningsOf(update, artifactFiles.update, isBatchOpen),
    ...warningsOf(evaluation, artifactFiles.eval, isBatchOpen),
    ...(bases === undefined ? [] : warningsOf(bases, adaptiveFiles.bases, isBatchOpen)),
  ];
}

function warningsOf({ model }: EmittedGraph, file: string, isBatchOpen: boolean): string[] {
  const nodes = cpuNodes(model, inferShapes(model));
  const line = describeCpuNodes(
    nodes.filter((node) => !isOfShapes(node)),
    file,
  );
  const shapes = nodes.filter(isOfShapes).length;
  const remedy = isBatchOpen ? '; --batch-size leaves none' : '';
  return [
    ...(line === undefined ? [] : [line]),
    ...(shapes === 0
      ? []
      : [`onnxruntime computes with shapes on the CPU: ${plural(shapes, 'node')} of ${file}${remedy}`]),
  ];
}
