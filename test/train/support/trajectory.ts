import { readdirSync, readFileSync } from 'node:fs';
import type { LossName } from '../../../src/contracts/train-settings.js';
import { defaultGraphSettings, type GraphSettings } from '../../../src/step/settings.js';
import { buildModel, type TestInitializer, type TestNode } from '../../support/models.js';

const folder = new URL('../golden/', import.meta.url);

/** Numbers of tensors by name. */
type Tensors = Readonly<Record<string, readonly number[]>>;

/** What golden/make.py writes of one run. */
interface Run {
  readonly scheme: 'spatial' | 'channel';
  readonly loss: LossName;
  readonly learningRate: number;
  readonly settings: Partial<GraphSettings>;
  /** Of the loss alone, at the first step. */
  readonly gradients: Tensors;
  /** `tensors`: parameters and running statistics behind the step. */
  readonly steps: readonly { readonly loss: number; readonly gradientNorm: number; readonly tensors: Tensors }[];
}

/** What all runs start from: batches, and the weights of each net. */
interface Start {
  readonly images: readonly (readonly number[])[];
  readonly classes: readonly (readonly number[])[];
  /** 0 or 1 for each image and class. */
  readonly several: readonly (readonly number[])[];
  readonly weights: Readonly<
    Record<
      Run['scheme'],
      Readonly<Record<string, { readonly shape: readonly number[]; readonly data: readonly number[] }>>
    >
  >;
}

export interface Trajectory extends Omit<Run, 'settings'> {
  readonly settings: GraphSettings;
  readonly model: Uint8Array;
  readonly batch: number;
  /** By step, from 0. */
  readonly batchOf: (step: number) => {
    readonly images: Float32Array;
    readonly labels: BigInt64Array | Float32Array;
  };
}

export const trajectoryNames = readdirSync(folder)
  .filter((name) => name.endsWith('.json') && name !== 'start.json')
  .map((name) => name.slice(0, -'.json'.length));

export function readTrajectory(name: string): Trajectory {
  const read = (file: string): unknown => JSON.parse(readFileSync(new URL(`${file}.json`, folder), 'utf8'));
  const run = read(name) as Run;
  const start = read('start') as Start;
  return {
    ...run,
    settings: { ...defaultGraphSettings, ...run.settings },
    model: modelOf(run, start),
    batch: start.classes[0]!.length,
    batchOf: (step) => {
      const at = step % start.images.length;
      const labels =
        run.loss === 'cross-entropy'
          ? BigInt64Array.from(start.classes[at]!, BigInt)
          : Float32Array.from(start.several[at]!);
      return { images: Float32Array.from(start.images[at]!), labels };
    },
  };
}

/** The net of golden/make.py: Conv, ReLU, a pair of convolutions, BatchNormalization, ReLU, pooling, a dense pair. */
function modelOf({ scheme, loss }: Run, { weights }: Start): Uint8Array {
  const initializers = Object.entries(weights[scheme]).map(([name, { shape, data }]): TestInitializer => ({
    name,
    dims: shape,
    data: Float32Array.from(data),
  }));
  const nodes: TestNode[] = [];
  const add = (op: string, inputs: readonly string[], attributes: NonNullable<TestNode['attributes']> = {}): string => {
    const output = `${op}.${nodes.length}`;
    nodes.push({ op, inputs, outputs: [output], name: output, attributes });
    return output;
  };
  const same = (weight: string): NonNullable<TestNode['attributes']> => {
    const [height, width] = weights[scheme][weight]!.shape.slice(2) as [number, number];
    const [top, left] = [(height - 1) / 2, (width - 1) / 2];
    return { kernel_shape: [height, width], pads: [top, left, top, left] };
  };
  const stem = add('Conv', ['x', 'stem.weight', 'stem.bias'], same('stem.weight'));
  const between = add('Conv', [add('Relu', [stem]), 'body.v'], same('body.v'));
  const body = add('Conv', [between, 'body.u'], same('body.u'));
  const norm = ['scale', 'shift', 'mean', 'variance'].map((part) => `norm.${part}`);
  const normalized = add('BatchNormalization', [body, ...norm]);
  const largest = add('MaxPool', [add('Relu', [normalized])], { kernel_shape: [2, 2], strides: [2, 2] });
  const flat = add('Flatten', [add('GlobalAveragePool', [largest])]);
  const hidden = add('Gemm', [flat, 'head.v'], { transB: 1 });
  const logits = add('Gemm', [hidden, 'head.u', 'head.bias'], { transB: 1 });
  const output = loss === 'cross-entropy' ? logits : add('Sigmoid', [logits]);
  const classes = weights[scheme]['head.bias']!.data.length;
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', 1, 6, 6] }],
    outputs: [{ name: output, dims: ['n', classes] }],
    nodes,
    initializers,
  });
}
