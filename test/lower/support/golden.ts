import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Model } from '../../../src/graph/model.js';
import { readModel } from '../../../src/graph/read.js';
import { sharedFolder } from '../../support/shared.js';

const folder = join(sharedFolder, 'golden');
export const hasGoldens = existsSync(folder);
export const goldenNames = ['bottleneck-avgpool', 'convnet-bn', 'frobenius', 'mbconv', 'resnet20-lowrank'] as const;

export interface Golden {
  readonly model: Model;
  readonly tensors: ReadonlyMap<string, { readonly dims: readonly number[]; readonly data: Float32Array | Int32Array }>;
  /** Tolerance of a tensor, derived in ../shared/golden/README.md. */
  atol(key: string): number;
}

/** A model, a batch, and what PyTorch computes for them. */
export function readGolden(name: string): Golden {
  const meta = JSON.parse(readFileSync(join(folder, name, 'meta.json'), 'utf8')) as {
    readonly tensors: Readonly<Record<string, { readonly atol: number }>>;
  };
  return {
    model: readModel(join(folder, name, 'model.onnx')),
    tensors: readSafetensors(readFileSync(join(folder, name, 'steps.safetensors'))),
    atol: (key) => meta.tensors[key]!.atol,
  };
}

function readSafetensors(file: Buffer): Golden['tensors'] {
  const length = Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Readonly<
    Record<string, { readonly dtype: string; readonly shape: number[]; readonly data_offsets: [number, number] }>
  >;
  return new Map(
    Object.entries(header).flatMap(
      ([
        key,
        {
          dtype,
          shape,
          data_offsets: [start, end],
        },
      ]) => {
        if (dtype !== 'F32' && dtype !== 'I32') return [];
        const bytes = Uint8Array.from(file.subarray(8 + length + start, 8 + length + end)).buffer;
        return [
          [key, { dims: shape, data: dtype === 'F32' ? new Float32Array(bytes) : new Int32Array(bytes) }] as const,
        ];
      },
    ),
  );
}
