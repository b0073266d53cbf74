import { tool } from '../version.js';
import type { EvalGraph, EvalInterface } from './eval-graph.js';
import { lengthOf, type Slot } from './flat.js';
import type { GradientGraph, GradientInterface, MaskInput } from './gradient-graph.js';
import type { Prepared } from './prepare.js';
import type { GraphSettings } from './settings.js';
import type { TargetName } from './target.js';
import type { UpdateGraph, UpdateInterface } from './update-graph.js';

/** Files of a folder of training artifacts. */
export const artifactFiles = {
  gradient: 'gradient.onnx',
  update: 'update.onnx',
  eval: 'eval.onnx',
  initial: 'initial.safetensors',
  manifest: 'manifest.json',
} as const;

/** Settings of a folder of training artifacts. */
export interface ArtifactsSettings extends GraphSettings {
  readonly target: TargetName;
  /** Images of one run of the graphs; null: any number. */
  readonly batchSize: number | null;
  /** Side of the images in pixels; null: what the model says. */
  readonly imageSize: number | null;
}

/** `manifest.json` of `lowrank-artifacts`, a published contract: see docs/artifacts.md. */
export interface ArtifactsManifest {
  readonly schema: 'lowrank.artifacts/1';
  readonly tool: typeof tool;
  readonly settings: ArtifactsSettings;
  readonly model: { readonly file: string; readonly sha256: string };
  /** Images of one run; null: any number. */
  readonly batch: number | null;
  /** Of one image, as `images` takes it. */
  readonly imageShape: readonly number[];
  readonly layout: Prepared['layout'];
  readonly classes: number;
  /** Elements of the flat vectors. */
  readonly lengths: { readonly parameters: number; readonly statistics: number; readonly state: number };
  readonly parameters: readonly (Slot & { readonly decay: boolean; readonly pair: string | null })[];
  readonly statistics: readonly Slot[];
  readonly initial: { readonly file: string };
  readonly gradient: {
    readonly file: string;
    readonly inputs: Omit<GradientInterface['inputs'], 'masks'> & { readonly masks: readonly string[] };
    readonly outputs: GradientInterface['outputs'];
  };
  readonly update: { readonly file: string } & UpdateInterface;
  readonly eval: { readonly file: string } & EvalInterface;
  /** What the mask inputs of the gradient graph take: [batch, …shape], 0 with probability `ratio`, else 1/(1 − ratio). */
  readonly masks: readonly MaskInput[];
  readonly warnings: readonly string[];
}

export interface ManifestParts {
  readonly warnings: readonly string[];
  readonly prepared: Prepared;
  readonly settings: ArtifactsSettings;
  readonly model: ArtifactsManifest['model'];
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly eval: EvalGraph;
}

/** What `manifest.json` says of emitted graphs. */
export function manifestOf(parts: ManifestParts): ArtifactsManifest {
  const { prepared, settings, gradient, update } = parts;
  const { masks, ...inputs } = gradient.interface.inputs;
  return {
    schema: 'lowrank.artifacts/1',
    tool,
    settings,
    model: parts.model,
    batch: settings.batchSize,
    imageShape: prepared.imageDims,
    layout: prepared.layout,
    classes: prepared.classes,
    lengths: {
      parameters: lengthOf(prepared.parameters),
      statistics: lengthOf(prepared.statistics),
      state: update.stateLength,
    },
    parameters: prepared.parameters.map(({ name, shape, offset, size, decay, pair }) => ({
      name,
      shape,
      offset,
      size,
      decay,
      pair,
    })),
    statistics: prepared.statistics.map(({ name, shape, offset, size }) => ({ name, shape, offset, size })),
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
