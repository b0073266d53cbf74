import type { ClassList } from '../data/class-list.js';
import type { Preparation } from '../contracts/convert.js';
import { tool } from '../version.js';
import type { EvalGraph, EvalInterface } from './eval-graph.js';
import { lengthOf, type Slot } from './flat.js';
import type { GradientGraph, GradientInterface, MaskInput } from './gradient-graph.js';
import type { ImageSettings } from '../images/image-settings.js';
import { losses, type LossName } from './losses/index.js';
import type { Prepared } from './prepare.js';
import type { PreparedModel } from './prepare-model.js';
import type { GraphSettings } from './settings.js';
import type { TargetName } from '../lower/target.js';
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
export interface ArtifactsSettings extends GraphSettings, ImageSettings {
  readonly target: TargetName;
  /** Images of one run of the graphs; null: any number. */
  readonly batchSize: number | null;
}

/** `manifest.json` of `lowrank-artifacts`, a published contract: see docs/artifacts.md. */
export interface ArtifactsManifest {
  readonly schema: 'lowrank.artifacts/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly settings: ArtifactsSettings;
  readonly model: {
    readonly file: string;
    readonly sha256: string;
    /** From the folder of the artifacts to the model. */
    readonly path: string;
  };
  /** Images of one run; null: any number. */
  readonly batch: number | null;
  /** Of one image, as `images` takes it. */
  readonly imageShape: readonly number[];
  readonly layout: Prepared['layout'];
  readonly classes: number;
  /** How images become `images`, and who says so; null where the model takes no color images. */
  readonly preparation: Preparation | null;
  /** In the order of the outputs; null where nothing says them. */
  readonly classNames: { readonly ids: readonly string[]; readonly titles: readonly string[] } | null;
  /** What is minimized, and so what `labels` are. */
  readonly loss: LossName;
  /** int64 [N]: the class of each image; or, with binary cross-entropy, float32 [N, classes]: 0 or 1 for each. */
  readonly labels: { readonly type: 'int64' | 'float32'; readonly shape: readonly (number | 'N')[] };
  /** Elements of the flat vectors. */
  readonly lengths: { readonly parameters: number; readonly statistics: number; readonly state: number };
  readonly parameters: readonly (Slot & {
    readonly decay: boolean;
    readonly pair: string | null;
    /** Names of the factors of that pair, in the order in which they are applied; absent in manifests of earlier versions. */
    readonly factors?: readonly string[] | null;
    /** The initializer of the model that it starts as, where several layers read that and are trained apart. */
    readonly copyOf?: string;
  })[];
  readonly statistics: readonly (Slot & { readonly copyOf?: string })[];
  /** Stored float tensors that the output depends on and that are not trained, and why. */
  readonly kept: readonly { readonly name: string; readonly shape: readonly number[]; readonly reason: string }[];
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
  const [labels] = losses[prepared.loss].targets(prepared.classes);
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
    classes: prepared.classes,
    preparation: parts.preparation ?? null,
    classNames: parts.classNames ?? null,
    loss: prepared.loss,
    labels: { type: labels!.type, shape: ['N', ...labels!.dims] },
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
