import { describe, expect, it } from 'vitest';
import { findResidualBranches } from '../../src/step/drop-path.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings, type GraphSettings } from '../../src/step/settings.js';
import { buildModel } from '../support/models.js';
import { failureOf } from '../support/errors.js';
import { hasShared, modelPath } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

/** What is added to what, by the labels of their nodes. */
function branchesOf(model: string | Uint8Array): readonly { readonly branch: string; readonly shortcut: string }[] {
  const prepared = prepareTraining(model, { settings: defaultGraphSettings });
  try {
    return findResidualBranches(prepared.model.graph, prepared.logits).map(({ add, index }) => ({
      branch: add.inputs[index]!.producer!.label,
      shortcut: add.inputs[1 - index]!.producer!.label,
    }));
  } finally {
    prepared.model.file?.close();
  }
}

describe('findResidualBranches', () => {
  it('the operand with the layers is the branch', () => {
    expect(branchesOf(tinyClassifier())).toEqual([
      { branch: "BatchNormalization 'block1.conv2.bn'", shortcut: "Relu 'stem.relu'" },
      { branch: "BatchNormalization 'block2.conv2.bn'", shortcut: "Relu 'block1.relu'" },
    ]);
  });

  const models = [
    // Two of three blocks have a convolution in the shortcut.
    { name: 'st-resnetv1-8-cifar10.onnx', count: 3, second: /^BatchNormalization 'n16.*, Conv 'n15_Conv'$/ },
    // Pre-activation: the first block of a stage projects, the others add the sum before.
    { name: 'resnet50v2-stages1to3-imagenette10.onnx', count: 13, second: /^Conv 'n25_Conv', Add 'n16_Add'$/ },
    // Spelled-out HardSwish and squeeze-and-excitation have Adds of their own.
    {
      name: 'ppocr-cls-mobilenetv3-paddle-op10.onnx',
      count: 7,
      second: /'BatchNormalization_15', .*'BatchNormalization_12'$/,
    },
    // Attention and the dense block of each of two layers; the position embedding is no branch.
    { name: 'cifar10-vit-pgd-pt2.0-op9.onnx', count: 4, second: /1\.0\.1\/fn\/.*, Add '\/1\/1\.0\/1\.0\.0\/Add'$/ },
  ];
  it.skipIf(!hasShared).each(models)('$name', ({ name, count, second }) => {
    const branches = branchesOf(modelPath(name));
    expect(branches).toHaveLength(count);
    expect(`${branches[1]!.branch}, ${branches[1]!.shortcut}`).toMatch(second);
  });

  it('a model without residual branches or without a dense layer says so', async () => {
    const w = { name: 'w', dims: [4, 3, 3, 3], data: new Float32Array(4 * 27).fill(0.1) };
    const model = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
      outputs: [{ name: 'y', dims: ['n', 4, 1, 1] }],
      nodes: [
        { op: 'Conv', inputs: ['x', 'w'], outputs: ['c'], name: 'conv' },
        { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['y'], name: 'pool' },
      ],
      initializers: [w],
    });
    const refuse = (settings: Partial<GraphSettings>) =>
      failureOf('UNSUPPORTED', () => prepareTraining(model, { settings: { ...defaultGraphSettings, ...settings } }));
    expect((await refuse({ dropPath: 0.1 })).fact).toContain('no residual branches');
    expect((await refuse({ dropout: 0.1 })).fact).toContain('does not end in a dense layer');
  });
});
