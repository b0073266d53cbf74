import { expect, it } from 'vitest';
import { openFrontier, type Source } from '../../../src/factorize/calibration/frontier.js';
import { readModel } from '../../../src/graph/read.js';
import { modelBytes } from '../../../src/graph/write.js';
import { probe } from '../../../src/factorize/calibration/fit-on-data.js';
import type { Model } from '../../../src/graph/model.js';
import { FLOAT } from '../../../src/onnx/data-type.js';
import { Tensor } from '../../../src/onnx/tensor.js';
import { eliminateDeadNodes } from '../../../src/passes/eliminate-dead-nodes.js';
import { runPasses } from '../../../src/passes/runner.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import { tinyClassifier } from '../../support/tiny-classifier.js';
import { imagesOf } from '../support/images.js';

const driver = await loadDriver();
const images = imagesOf('x', [8, 3, 16, 16], [8, 8, 5]);
const context = { images, driver, session: { threads: 1 } };

/** What a value is on all images, and the operators that it took. */
async function numbersOf(
  name: string,
  { model, images: shown }: Source,
): Promise<{ numbers: number[]; nodes: number }> {
  const copy = readModel(modelBytes(model));
  for (const output of copy.graph.outputs.splice(0)) output.isOutput = false;
  copy.graph.addOutput(copy.graph.value(name)!, { dataType: FLOAT, dims: undefined });
  runPasses(copy, [eliminateDeadNodes]);
  const read = new Set(copy.graph.inputs.filter(({ uses }) => uses.length > 0).map((value) => value.name));
  for (const value of copy.graph.inputs.filter((input) => !read.has(input.name))) {
    copy.graph.inputs.splice(copy.graph.inputs.indexOf(value), 1);
  }
  const session = await driver.createSession(modelBytes(copy), { threads: 1 });
  const numbers: number[] = [];
  try {
    for await (const { feeds } of shown.batches()) {
      const own = Object.fromEntries(Object.entries(feeds).filter(([input]) => read.has(input)));
      numbers.push(...((await session.run(own))[name]!.data as Float32Array));
    }
  } finally {
    await session.close();
  }
  return { numbers, nodes: copy.graph.nodes.length };
}

/** Other weights of a layer, as if it were replaced. */
function change({ graph }: Model, name: string): void {
  const weight = graph.value(name)!;
  const { dims } = weight.tensor!;
  graph.setTensor(
    weight,
    Tensor.ofFloats(
      name,
      dims,
      weight.tensor!.toFloat32().map((value, at) => value + 0.05 * ((at % 7) - 3)),
    ),
  );
}

it('images run on from layer to layer, through what the layers before have become', async () => {
  const model = readModel(tinyClassifier());
  const frontier = openFrontier(model, context);
  const layers = model.graph.sorted().filter((node) => node.is('Conv') || node.is('Gemm'));
  const most: number[] = [];
  for (const layer of layers) {
    const [input, weight] = layer.inputs;
    const output = layer.outputs[0]!.name;
    const whole = await numbersOf(output, { model, inputShapes: {}, images });
    const source = await frontier.upTo(layer);
    const { numbers, nodes } = await numbersOf(output, source);
    expect(numbers).toHaveLength(whole.numbers.length);
    numbers.forEach((value, at) => expect(Math.abs(value - whole.numbers[at]!)).toBeLessThan(1e-4));
    most.push(nodes);
    expect(input).toBeDefined();
    frontier.forget([layer]);
    change(model, weight!.name);
  }
  // Nothing but the layer itself is run.
  expect(Math.max(...most)).toBe(1);
});

it('what is replaced before is run again', async () => {
  const model = readModel(tinyClassifier());
  const frontier = openFrontier(model, context);
  const layers = model.graph.sorted().filter((node) => node.is('Conv'));
  const last = layers.at(-1)!;
  await frontier.upTo(last);
  frontier.forget([layers[0]!]);
  change(model, layers[0]!.inputs[1]!.name);
  const output = last.outputs[0]!.name;
  const { numbers } = await numbersOf(output, await frontier.upTo(last));
  const whole = await numbersOf(output, { model, inputShapes: {}, images });
  numbers.forEach((value, at) => expect(Math.abs(value - whole.numbers[at]!)).toBeLessThan(1e-4));
});

it('a probed layer behind a residual sum needs less than what stands there', async () => {
  const model = readModel(tinyClassifier());
  const frontier = openFrontier(model, context);
  const conv = model.graph.sorted().filter((node) => node.is('Conv'))[2]!;
  // Behind the first convolution of a block: its own input, and the sum's other side.
  const source = await frontier.upTo(conv);
  const measured = await probe({ ...context, seed: 0 }, source, conv.name, (layers) => {
    const layer = layers.find(({ name }) => name === conv.name)!;
    return [{ layer, momentPositions: 16, inputPositions: 0, observedPositions: 0 }];
  });
  expect(measured.get(conv.name)!.moments!.count).toBe(21 * 16);
});
