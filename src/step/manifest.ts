import type { ClassList } from '../data/class-list.js';
import type { ArtifactsManifest, ArtifactsSettings } from '../contracts/artifacts.js';
import type { Preparation } from '../contracts/images.js';
import { tool } from '../version.js';
import type { EvalGraph } from './eval-graph.js';
import { lengthOf } from './flat.js';
import type { GradientGraph } from './gradient-graph.js';
import type { Trainable } from './goals/goal.js';
import type { PreparedModel } from './prepare-model.js';
import type { UpdateGraph } from './update-graph.js';

/** Files of a folder of training artifacts. */
export const artifactFiles = {
  gradient: 'gradient.onnx',
  update: 'update.onnx',
  eval: 'eval.onnx',
  initial: 'initial.safetensors',
  manifest: 'manifest.json',
} as const;

/** What is there beside them where ranks are found. */
export const adaptiveFiles = { bases: 'bases.onnx', pairs: 'pairs.onnx' } as const;

export interface ManifestParts {
  readonly warnings: readonly string[];
  readonly prepared: Trainable;
  readonly settings: ArtifactsSettings;
  readonly model: ArtifactsManifest['model'];
  readonly loss: ArtifactsManifest['loss'];
  /** Of a step with a teacher, or with ranks that are found. */
  readonly following: Pick<ArtifactsManifest, 'teacher' | 'matching' | 'adaptation'>;
  readonly preparation: Preparation | undefined;
  readonly classNames: ClassList | undefined;
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly eval: EvalGraph;
}

/** What `manifest.json` says of emitted graphs. */
export function manifestOf(parts: ManifestParts): ArtifactsManifest {
  const { prepared, settings, gradient, update } = parts;
  const { masks, ...inputs } = gradient.interface.inputs;
  const [labels] = prepared.goal.targets;
  const copyOf = (name: string): { readonly copyOf?: string } => {
    const original = prepared.copies.get(name);
    return original === undefined ? {} : { copyOf: original };
  };
  const factorsOf = new Map(
    prepared.pairs.flatMap(({ factors }) => {
      const names = factors.map(({ value }) => value.name);
      return factors.map(({ value }) => [value, names] as const);
    }),
  );
  return {
    schema: 'lowrank.artifacts/1',
    tool,
    settings,
    model: parts.model,
    batch: settings.batchSize,
    imageShape: prepared.imageDims,
    layout: prepared.layout,
    classes: prepared.goal.classes,
    preparation: parts.preparation ?? null,
    classNames: parts.classNames ?? null,
    ...parts.following,
    loss: parts.loss,
    ...(labels === undefined ? {} : { labels: { type: labels.type, shape: ['N', ...labels.dims] } }),
    lengths: {
      parameters: lengthOf(prepared.parameters),
      statistics: lengthOf(prepared.statistics),
      state: update.stateLength,
    },
    parameters: prepared.parameters.map(({ value, name, shape, offset, size, decay, pair }) => ({
      name,
      shape,
      offset,
      size,
      decay,
      pair,
      factors: factorsOf.get(value) ?? null,
      ...copyOf(name),
    })),
    statistics: prepared.statistics.map(({ name, shape, offset, size }) => ({
      name,
      shape,
      offset,
      size,
      ...copyOf(name),
    })),
    kept: describeKept(prepared),
    initial: { file: artifactFiles.initial },
    gradient: {
      file: artifactFiles.gradient,
      inputs: { ...inputs, masks: masks.map(({ name }) => name) },
      outputs: gradient.interface.outputs,
    },
    update: { file: artifactFiles.update, ...update.interface },
    eval: { file: artifactFiles.eval, ...parts.eval.interface },
    masks,
    warnings: [...prepared.warnings, ...parts.warnings],
  };
}

/** As reports say it. */
export function describeKept({ kept }: PreparedModel): ArtifactsManifest['kept'] {
  return kept.map(({ value, reason }) => ({ name: value.name, shape: value.tensor!.dims, reason }));
}
