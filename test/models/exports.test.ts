import { describe, expect, it } from 'vitest';
import { create } from '../../models/index.js';
import type { Model } from '../../src/graph/model.js';
import type { Node } from '../../src/graph/node.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { hasShared, modelPath } from '../support/shared.js';

/** A node without what the exports do otherwise: their output is `output`, and opset 13 has no training_mode. */
function describeNode(node: Node): unknown {
  const names = [node.inputs, node.outputs].map((values) =>
    values.map((value) => (value?.isOutput === true ? 'logits' : value?.name)),
  );
  const attributes = Object.fromEntries([...node.attributes].filter(([name]) => name !== 'training_mode'));
  return [node.opType, node.name, ...names, attributes];
}

function describeModel({ graph }: Model): unknown {
  return {
    nodes: graph.nodes.map(describeNode),
    initializers: graph.initializers.map(({ name, tensor }) => [name, tensor!.dims]),
    inputs: graph.inputs.map(({ name, declared }) => [name, declared!.dims]),
    outputs: graph.outputs.map(({ declared }) => declared!.dims),
  };
}

describe.skipIf(!hasShared)("are what PyTorch's exporter makes of torchvision's models, name for name", () => {
  it.each(['resnet50', 'efficientnet_b0'])('%s', (name) => {
    const theirs = readModel(modelPath(`exports/torchscript-bn/${name}.onnx`));
    // Written and read, so that attributes are rounded to float32 as theirs are.
    expect(describeModel(readModel(modelBytes(create(name))))).toEqual(describeModel(theirs));
    theirs.file?.close();
  });
});
