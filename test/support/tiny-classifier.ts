import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { randomStream, fillTruncatedNormal } from '../../src/random.js';
import { buildModel, type TestInitializer, type TestNode } from './models.js';

export interface TinyOptions {
  readonly classes?: number;
  readonly seed?: number;
  /** Ratio of a Dropout node before the dense layer; none is there without it. */
  readonly dropout?: number;
  readonly hasNormalization?: boolean;
  /** Of the images. Default 3. */
  readonly channels?: number;
  /** Nodes between the last block, `block2.relu` ['n', 8, 8, 8], and the pooling, which reads `inserted`. */
  readonly inserted?: { readonly nodes: readonly TestNode[]; readonly initializers: readonly TestInitializer[] };
}

/**
 * A residual classifier of 16×16 color images, about 1,500 weights: Conv, BatchNormalization, ReLU, two residual blocks,
 * global average pooling, dense layer. `x` ['n', 3, 16, 16] → `y` ['n', classes].
 */
export function tinyClassifier(options: TinyOptions = {}): Uint8Array {
  const { classes = 3, seed = 1, dropout, hasNormalization = true, channels = 3, inserted } = options;
  const initializers: TestInitializer[] = [];
  const nodes: TestNode[] = [];
  const weight = (name: string, dims: readonly number[], scale: number): string => {
    const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
    if (scale > 0) fillTruncatedNormal(randomStream(seed, name), data, 0, scale);
    initializers.push({ name, dims, data });
    return name;
  };
  const ones = (name: string, channels: number): string => {
    initializers.push({ name, dims: [channels], data: new Float32Array(channels).fill(1) });
    return name;
  };
  const conv = (x: string, name: string, inputs: number, outputs: number, stride: number): string => {
    const scale = Math.sqrt(2 / (9 * inputs));
    const w = weight(`${name}.weight`, [outputs, inputs, 3, 3], scale);
    const attributes = { pads: [1, 1, 1, 1], strides: [stride, stride], kernel_shape: [3, 3] };
    const bias = hasNormalization ? [] : [weight(`${name}.bias`, [outputs], 0)];
    nodes.push({ op: 'Conv', inputs: [x, w, ...bias], outputs: [`${name}.out`], name, attributes });
    if (!hasNormalization) return `${name}.out`;
    const norm = [
      ones(`${name}.bn.weight`, outputs),
      weight(`${name}.bn.bias`, [outputs], 0),
      weight(`${name}.bn.mean`, [outputs], 0),
      ones(`${name}.bn.variance`, outputs),
    ];
    nodes.push({
      op: 'BatchNormalization',
      inputs: [`${name}.out`, ...norm],
      outputs: [`${name}.bn`],
      name: `${name}.bn`,
    });
    return `${name}.bn`;
  };
  const node = (op: string, inputs: readonly string[], output: string, more: Partial<TestNode> = {}): string => {
    nodes.push({ op, inputs, outputs: [output], name: output, ...more });
    return output;
  };
  let x = node('Relu', [conv('x', 'stem', channels, 8, 2)], 'stem.relu');
  for (const block of ['block1', 'block2']) {
    const inner = node('Relu', [conv(x, `${block}.conv1`, 8, 8, 1)], `${block}.relu1`);
    const sum = node('Add', [conv(inner, `${block}.conv2`, 8, 8, 1), x], `${block}.add`);
    x = node('Relu', [sum], `${block}.relu`);
  }
  if (inserted !== undefined) {
    nodes.push(...inserted.nodes);
    initializers.push(...inserted.initializers);
    x = 'inserted';
  }
  x = node('Flatten', [node('GlobalAveragePool', [x], 'pool')], 'flat');
  if (dropout !== undefined) {
    initializers.push({ name: 'ratio', dims: [], data: Float32Array.of(dropout) });
    x = node('Dropout', [x, 'ratio'], 'dropped');
  }
  node('Gemm', [x, weight('fc.weight', [classes, 8], 0.3), weight('fc.bias', [classes], 0)], 'y', {
    attributes: { transB: 1 },
  });
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', channels, 16, 16] }],
    outputs: [{ name: 'y', dims: ['n', classes] }],
    nodes,
    initializers,
  });
}

/** Class k is stripes in its own direction and color, on noise. */
export const textures = ['across', 'along', 'diagonal'] as const;

/** Writes `perClass` PNG images of 20×20 pixels for each texture into folders of their names. */
export async function writeTextures(
  folder: string,
  perClass: number,
  seed: number,
  names: readonly string[] = textures,
): Promise<void> {
  const side = 20;
  for (const [label, name] of names.entries()) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let i = 0; i < perClass; i++) {
      const noise = new Float32Array(side * side * 3 + 1);
      fillTruncatedNormal(randomStream(seed, `${name} ${i}`), noise, 0, 35);
      const phase = noise.at(-1)!;
      const pixels = new Uint8Array(side * side * 3);
      for (let at = 0; at < side * side; at++) {
        const [row, column] = [Math.floor(at / side), at % side];
        const along = label % 3 === 0 ? row : label % 3 === 1 ? column : row + column;
        const stripe = Math.sin(phase + along * 1.3) * 60;
        for (let color = 0; color < 3; color++) {
          const tint = color === label % 3 ? 25 : 0;
          pixels[at * 3 + color] = Math.max(0, Math.min(255, 110 + tint + stripe + noise[at * 3 + color]!));
        }
      }
      const raw = { width: side, height: side, channels: 3 } as const;
      await sharp(pixels, { raw })
        .png()
        .toFile(join(folder, name, `${i}.png`));
    }
  }
}
