import { classes, side } from './demo-images.js';

/** The command lines of the demo, in their order, as README.md shows them: run in one folder that holds `images`. */
export const steps = [
  `lowrank create resnet18 -o resnet18.onnx --image-size ${side} --num-classes ${classes}`,
  'lowrank train resnet18.onnx -o trained.onnx --data images --normalization symmetric --epochs 4 --lr 0.02 --batch-size 16',
  'lowrank convert trained.onnx -o small.onnx --latency --report report.html',
  'lowrank eval small.onnx --vs trained.onnx --data images',
  'lowrank train small.onnx -o tuned.onnx --data images --preset fine-tune --epochs 2 --report training.html',
  'lowrank eval tuned.onnx --vs trained.onnx --data images --report evaluation.html',
];
