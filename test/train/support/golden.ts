import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sharedFolder } from '../../support/shared.js';
import { readSafetensors, type SafetensorsFile } from '../../../src/files/safetensors.js';
import { defaultGraphSettings, type GraphSettings } from '../../../src/step/settings.js';

const folder = join(sharedFolder, 'golden');
export const hasGoldens = existsSync(folder);

/** What a golden's meta.json says, as far as tests read it. */
interface Meta {
  readonly loss: { readonly label_smoothing: number };
  readonly optimizer: Readonly<Record<string, unknown>> & {
    readonly kind: string;
    readonly lr: number;
    readonly lrs?: readonly number[];
    readonly weight_decay: number;
    readonly decayed: readonly string[];
  };
  readonly steps: number;
  readonly frobenius?: { readonly lambda: number; readonly pairs: readonly (readonly string[])[] };
  readonly clip?: { readonly norm: number };
  readonly ema?: { readonly decay: number };
  readonly accumulate?: { readonly micro_batches: number };
  readonly tensors: Readonly<Record<string, { readonly atol: number; readonly max: number }>>;
}

export interface Golden {
  readonly name: string;
  readonly modelPath: string;
  readonly meta: Meta;
  readonly results: SafetensorsFile;
  readonly images: Float32Array;
  readonly imagesShape: readonly number[];
  readonly labels: BigInt64Array;
  readonly settings: GraphSettings;
  /** By step, from 0. */
  readonly learningRate: (step: number) => number;
}

export const nets = ['convnet-bn', 'resnet20-lowrank', 'mbconv', 'bottleneck-avgpool', 'frobenius'] as const;
export const optimizerCases = ['accumulate', 'adam', 'adamw', 'clip', 'ema', 'nesterov', 'schedule'] as const;

export function readGolden(name: string): Golden {
  const [group, part] = name.split('/') as [string, string | undefined];
  const base = join(folder, group);
  const meta = JSON.parse(readFileSync(join(base, part === undefined ? 'meta.json' : `${part}.json`), 'utf8')) as Meta;
  const results = readSafetensors(join(base, part === undefined ? 'steps.safetensors' : `${part}.safetensors`));
  const data = part === undefined ? results : readSafetensors(join(base, 'data.safetensors'));
  const images = data.tensors.get('x')!;
  const { optimizer } = meta;
  const number = (key: string, fallback: number): number =>
    typeof optimizer[key] === 'number' ? optimizer[key] : fallback;

  return {
    name,
    modelPath: join(base, 'model.onnx'),
    meta,
    results,
    images: images.data as Float32Array,
    imagesShape: images.shape,
    labels: BigInt64Array.from(data.tensors.get('y')!.data as Int32Array, (label) => BigInt(label)),
    settings: {
      ...defaultGraphSettings,
      optimizer: (optimizer.kind === 'nesterov' ? 'sgd' : optimizer.kind) as GraphSettings['optimizer'],
      momentum: number('momentum', 0.9),
      nesterov: optimizer['nesterov'] === true,
      beta1: number('beta1', 0.9),
      beta2: number('beta2', 0.999),
      epsilon: number('eps', 1e-8),
      weightDecay: optimizer.weight_decay,
      decay: optimizer.decayed,
      frobeniusDecay: meta.frobenius?.lambda ?? 0,
      labelSmoothing: meta.loss.label_smoothing,
      clip: meta.clip?.norm ?? null,
    },
    learningRate: (step) => optimizer.lrs?.[step] ?? optimizer.lr,
  };
}
