import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { sharedFolder } from './bench.js';

/** A trained model with images of its own. */
export interface Case {
  readonly file: string;
  readonly normalization: string;
  /** Whether BatchNormalization is folded into the convolutions first, as exporters do. */
  readonly isFolded?: boolean;
  /** The file of the classes in the order of the outputs, where folders are not in it. */
  readonly classes?: string;
  /** Fractions of the multiply-accumulates. */
  readonly budgets: readonly number[];
  /** Images without labels to fit on, and others with labels to measure on. `folder`: where links may be put. */
  images(folder: string): { readonly fit: string; readonly val: string };
}

export const shared = (path: string): string => join(sharedFolder, 'data', path);

/** Two of three flowers of each class to fit on, the third to measure on. */
function flowers(folder: string): { readonly fit: string; readonly val: string } {
  const source = resolve(shared('images/flowers/test'));
  for (const name of readdirSync(source)) {
    for (const [index, file] of readdirSync(join(source, name)).sort().entries()) {
      const target = join(folder, 'flowers', index % 3 === 2 ? 'val' : 'fit', name);
      mkdirSync(target, { recursive: true });
      if (!existsSync(join(target, file))) symlinkSync(join(source, name, file), join(target, file));
    }
  }
  return { fit: join(folder, 'flowers/fit'), val: join(folder, 'flowers/val') };
}

const cifar = (): { readonly fit: string; readonly val: string } => ({
  fit: shared('images/cifar10/train'),
  val: shared('images/cifar10/test'),
});
const imagenette = (): { readonly fit: string; readonly val: string } => ({
  fit: shared('images/imagenette-160/train'),
  val: shared('images/imagenette-160/val'),
});

/** One picture of each of 100 classes to measure on; there are none of the other 900 to fit on. */
function imagenetSample(folder: string): { readonly fit: string; readonly val: string } {
  const source = resolve(shared('images/imagenet-sample'));
  const val = join(folder, 'imagenet-sample');
  for (const file of readdirSync(source).filter((name) => name.endsWith('.JPEG'))) {
    const target = join(val, file.slice(0, file.indexOf('_')));
    mkdirSync(target, { recursive: true });
    if (!existsSync(join(target, file))) symlinkSync(join(source, file), join(target, file));
  }
  return { fit: shared('images/imagenette-160/train'), val };
}

export const cases: Readonly<Record<string, Case>> = {
  resnet20: {
    file: 'cifar10-resnet20-pt1.6-op9-bn.onnx',
    normalization: 'cifar10',
    budgets: [0.5, 0.35, 0.25],
    images: cifar,
  },
  'resnet20-folded': {
    file: 'cifar10-resnet20-pt1.6-op9-bn.onnx',
    isFolded: true,
    normalization: 'cifar10',
    budgets: [0.5, 0.35, 0.25],
    images: cifar,
  },
  mobilenetv2: {
    file: 'mobilenetv2-imagenet-fp32-int8fc.onnx',
    normalization: 'imagenet',
    classes: shared('images/LOC_synset_mapping.txt'),
    budgets: [0.9, 0.8],
    images: imagenetSample,
  },
  'resnet20-op7': {
    file: 'cifar10-resnet20-pt1.5-op7-initinputs.onnx',
    normalization: 'imagenet',
    budgets: [0.5, 0.35],
    images: cifar,
  },
  conv8: { file: 'cifar10-conv8-pt1.11-op9.onnx', normalization: 'cifar10', budgets: [0.5, 0.35], images: cifar },
  vit: { file: 'cifar10-vit-pgd-pt2.0-op9.onnx', normalization: 'cifar10', budgets: [0.5, 0.35], images: cifar },
  resnet8: { file: 'st-resnetv1-8-cifar10.onnx', normalization: 'unit', budgets: [0.6, 0.5], images: cifar },
  efficientnet: {
    file: 'st-efficientnet-lc-flowers5.onnx',
    normalization: 'unit',
    budgets: [0.6, 0.51, 0.44],
    images: flowers,
  },
  resnet50v2: {
    file: 'resnet50v2-stages1to3-imagenette10.onnx',
    normalization: 'imagenet',
    budgets: [0.45, 0.3, 0.2],
    images: imagenette,
  },
};
