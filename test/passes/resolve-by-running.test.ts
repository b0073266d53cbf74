import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes, writeModel } from '../../src/graph/write.js';
import { BOOL, FLOAT, INT64 } from '../../src/onnx/data-type.js';
import { memorySource } from '../../src/files/source.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { inferShapes } from '../../src/ops/infer.js';
import { completeShapes } from '../../src/passes/resolve-by-running.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildModel, ints } from '../ops/support/build.js';
import { field, graphProto, nodeProto } from '../support/build.js';

const driver = await loadDriver();

/** A body with one node and no inputs of its own. */
function branch(opType: string, input: string, output: string): Attribute {
  const node = nodeProto({ op: opType, name: output, inputs: [input], outputs: [output] });
  const bytes = graphProto({ nodes: [node], outputs: [field(1, output)] });
  return { type: 'graph', value: { source: memorySource(bytes, 'body'), start: 0, end: bytes.length } };
}

describe('completeShapes', () => {
  it('finds the outputs of If by a run, and goes on from there by rule', async () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: ['batch', 3, 8, 8] });
    const condition = graph.addInitializer(Tensor.of('condition', BOOL, [], Uint8Array.of(1)));
    const attributes = { then_branch: branch('GlobalAveragePool', 'x', 'a'), else_branch: branch('Relu', 'x', 'b') };
    const [chosen] = node('If', [condition], attributes);
    x.uses.push({ node: chosen!.producer!, index: -1 });
    const [flat] = node('Flatten', [chosen]);
    graph.addOutput(flat!);
    const read = readModel(modelBytes(model));

    const table = inferShapes(read);
    const value = (name: string) => read.graph.value(name)!;
    expect(table.unknown.map(({ node, reason }) => [node.opType, reason])).toEqual([
      ['If', 'its shape depends on data'],
      ['Flatten', `the shape of its input '${chosen!.name}' is not known`],
    ]);
    expect(() => table.require(value(flat!.name))).toThrow(expect.objectContaining({ code: 'SHAPE' }));

    const outputs = read.graph.outputs.map(({ name }) => name);
    const complete = await completeShapes(read, table, driver);
    expect(complete.unknown).toEqual([]);
    expect(complete.require(value(chosen!.name)).dims).toEqual([1, 3, 1, 1]);
    expect(complete.require(value(flat!.name))).toEqual({ dataType: FLOAT, dims: [1, 3] });
    expect(complete.warnings).toHaveLength(1);
    expect(read.graph.outputs.map(({ name }) => name)).toEqual(outputs);
    expect(value(chosen!.name).isOutput).toBe(false);
  });

  it('takes shapes that depend on data from the run', async () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: [2, 3] });
    const [indices] = node('NonZero', [x]);
    graph.addOutput(indices!);
    const complete = await completeShapes(model, inferShapes(model), driver);
    expect(complete.require(indices!)).toEqual({ dataType: INT64, dims: [2, 6] });
  });

  it('says so, and does not throw, where onnxruntime cannot run the model', async () => {
    const { model, graph, node } = buildModel(17, { 'my.company': 1 });
    const x = graph.addInput('x', { dataType: FLOAT, dims: [1, 3] });
    const [y] = node('Magic', [x], {}, { domain: 'my.company' });
    const [z] = node('Relu', [y]);
    graph.addOutput(z!);
    const table = inferShapes(model);
    expect(table.unknown[0]?.reason).toBe('my.company.Magic is an operator without a shape rule');
    const complete = await completeShapes(model, table, driver);
    expect(complete.typeOf(z!)).toBeUndefined();
    expect(complete.typeOf(x)).toEqual({ dataType: FLOAT, dims: [1, 3] });
    expect(complete.warnings).toHaveLength(1);
    expect(complete.warnings[0]).toMatch(/^the shapes of 'Magic_out', 'Relu_out' are not known, .*my\.company/);
  });

  it('needs no run where the declared type of an unknown operator says it', () => {
    const { model, graph, node } = buildModel(17, { 'my.company': 1 });
    const x = graph.addInput('x', { dataType: FLOAT, dims: ['n', 3] });
    const [y] = node('Magic', [x], {}, { domain: 'my.company' });
    y!.declared = { dataType: FLOAT, dims: ['n', 5, 'n'] };
    const [z] = node('Transpose', [y], { perm: ints([1, 0, 2]) });
    graph.addOutput(z!);
    const table = inferShapes(model, { bindings: { n: 4 } });
    expect(table.unknown).toEqual([]);
    expect(table.require(z!).dims).toEqual([5, 4, 4]);
  });

  it('does not throw where an input has no shape', async () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: undefined });
    const [y] = node('Relu', [x]);
    graph.addOutput(y!);
    const complete = await completeShapes(model, inferShapes(model), driver);
    expect(complete.warnings[0]).toContain("input 'x' has no shape");
    const given = inferShapes(model, { inputShapes: { x: [2, 5] } });
    expect(given.require(y!).dims).toEqual([2, 5]);
  });

  it('stops when told to', async () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: [2] });
    graph.addOutput(node('NonZero', [x])[0]!);
    const run = completeShapes(model, inferShapes(model), driver, { signal: AbortSignal.abort() });
    await expect(run).rejects.toThrow(expect.objectContaining({ code: 'ABORTED' }));
  });

  it('leaves external data where it is', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lowrank-test-'));
    try {
      const { model, graph, node } = buildModel(17);
      const x = graph.addInput('x', { dataType: FLOAT, dims: [1, 32] });
      const w = graph.addInitializer(Tensor.ofFloats('w', [32, 16], new Float32Array(512).fill(0.5)));
      const [product] = node('MatMul', [x, w]);
      graph.addOutput(node('NonZero', [product])[0]!, { dataType: INT64, dims: [2, 'count'] });
      const path = join(folder, 'model.onnx');
      const { dataPath } = writeModel(model, path, { dataLocation: 'external' });
      expect(dataPath).toBeDefined();
      const read = readModel(path);
      const complete = await completeShapes(read, inferShapes(read), driver);
      expect(complete.require(read.graph.outputs[0]!).dims).toEqual([2, 16]);
      read.file?.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
