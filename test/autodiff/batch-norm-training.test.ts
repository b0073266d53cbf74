import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { copyForward } from '../../src/autodiff/copy-forward.js';
import { float } from '../../src/graph/attributes.js';
import { Graph } from '../../src/graph/graph.js';
import type { Model } from '../../src/graph/model.js';
import type { Value } from '../../src/graph/value.js';
import { modelBytes } from '../../src/graph/write.js';
import { FLOAT } from '../../src/onnx/data-type.js';
import { encodeFloats } from '../../src/onnx/elements.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { Emitter } from '../../src/ops/emitter.js';
import { inferShapes } from '../../src/ops/infer.js';
import { randomOf } from '../support/mutate.js';

const [batch, channels, positions] = [3, 2, 4];
const dims = [batch, channels, positions];
const opsets = new Map([['', 17]]);
const running = { mean: [0.5, -0.25], variance: [1.5, 0.75] };
const scales = [
  [1.25, -0.5],
  [0.75, 2],
];

/** Two layers that share their running statistics, on the same x: y = BN₁(x) + BN₂(x). */
function sharedStatistics(): { graph: Graph; output: Value; statistics: readonly Value[] } {
  const graph = new Graph('model');
  const x = graph.addInput('x', { dataType: FLOAT, dims });
  const vector = (name: string, values: readonly number[]): Value =>
    graph.addInitializer(Tensor.of(name, FLOAT, [channels], encodeFloats(Float32Array.from(values), FLOAT)));
  const mean = vector('mean', running.mean);
  const variance = vector('variance', running.variance);
  const bias = vector('bias', [0.1, 0.2]);
  const layers = scales.map((scale, i) => {
    const y = graph.addValue(`y${i}`);
    const inputs = [x, vector(`scale${i}`, scale), bias, mean, variance];
    const attributes = { epsilon: float(1e-3), momentum: float(0.75) };
    graph.addNode({ opType: 'BatchNormalization', inputs, outputs: [y], attributes });
    return y;
  });
  const output = graph.addValue('y');
  graph.addNode({ opType: 'Add', inputs: layers, outputs: [output] });
  graph.addOutput(output);
  return { graph, output, statistics: [mean, variance] };
}

/** What the layer computes, by its definition in double precision. */
function expectedOf(x: Float32Array): { y: number[]; mean: number[]; variance: number[] } {
  const of = (channel: number): number[] =>
    Array.from({ length: batch * positions }, (_, i) => {
      const n = Math.floor(i / positions);
      return x[(n * channels + channel) * positions + (i % positions)]!;
    });
  const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const mean = [0, 1].map((channel) => average(of(channel)));
  const variance = [0, 1].map((channel) => average(of(channel).map((value) => (value - mean[channel]!) ** 2)));
  const y = Array.from(x, (value, i) => {
    const channel = Math.floor(i / positions) % channels;
    const normalized = (value - mean[channel]!) / Math.sqrt(variance[channel]! + 1e-3);
    return normalized * (scales[0]![channel]! + scales[1]![channel]!) + 0.2 * (channel + 1);
  });
  return { y, mean, variance };
}

const modelOf = (graph: Graph): Model => ({
  graph,
  opsets,
  irVersion: 8,
  producerName: 'test',
  producerVersion: '',
  metadata: new Map(),
  functions: [],
  file: undefined,
});

type Source = 'initializers' | 'inputs' | 'a Split of a vector';

/** The training graph's stand-ins for the running statistics, and what it is fed for them. */
function bindStatistics(e: Emitter, source: Source, statistics: readonly Value[]): [Map<Value, Value>, string[]] {
  const [mean, variance] = statistics;
  if (source === 'initializers') return [new Map(), []];
  const declared = (name: string, size: number): Value =>
    e.declare(e.graph.addInput(name, { dataType: FLOAT, dims: [size] }), { dataType: FLOAT, dims: [size] });
  if (source === 'inputs') {
    return [
      new Map([
        [mean!, declared('fedMean', channels)],
        [variance!, declared('fedVariance', channels)],
      ]),
      ['fedMean', 'fedVariance'],
    ];
  }
  const parts = e.split(declared('fedAll', 2 * channels), [channels, channels]);
  return [
    new Map([
      [mean!, parts[0]!],
      [variance!, parts[1]!],
    ]),
    ['fedAll'],
  ];
}

describe('BatchNormalization in training', () => {
  describe.each<Source>(['initializers', 'inputs', 'a Split of a vector'])('statistics are %s', (source) => {
    it.each(['disabled', 'all'] as const)('two layers share them, optimization %s', async (level) => {
      const model = sharedStatistics();
      const graph = new Graph('training');
      const e = new Emitter(graph, { opsets });
      const type = { dataType: FLOAT, dims };
      const x = e.declare(graph.addInput('x', type), type);
      const [bindings, names] = bindStatistics(e, source, model.statistics);
      bindings.set(model.graph.inputs[0]!, x);
      const forward = copyForward(
        e,
        { graph: model.graph, opsets, shapes: inferShapes(modelOf(model.graph)), outputs: [model.output] },
        bindings,
      );
      const named = (name: string, value: Value): void => {
        graph.addOutput(e.emit('Add', [value, e.scalar(0.5)], {}, { name }));
      };
      named('out', forward.outputs[0]!);
      forward.statistics.forEach(({ mean, variance }, i) => {
        named(`mean${i}`, mean);
        named(`variance${i}`, variance);
      });
      model.statistics.forEach((value, i) => {
        const bound = bindings.get(value);
        if (bound !== undefined) named(`running${i}`, bound);
      });
      expect(forward.statistics.map(({ runningMean }) => runningMean)).toEqual([
        model.statistics[0],
        model.statistics[0],
      ]);
      const written = modelOf(graph);
      const session = await ort.InferenceSession.create(modelBytes(written), {
        graphOptimizationLevel: level,
        logSeverityLevel: 3,
      });
      const random = randomOf(7);
      for (let run = 0; run < 3; run++) {
        const data = Float32Array.from({ length: batch * channels * positions }, () => random(2 ** 20) / 2 ** 18 - 1);
        const fed = Object.fromEntries(
          names.map((name) => {
            const values = { fedMean: running.mean, fedVariance: running.variance }[name];
            return [name, Float32Array.from(values ?? [...running.mean, ...running.variance])];
          }),
        );
        const tensors = Object.entries(fed).map(([name, values]) => [
          name,
          new ort.Tensor('float32', values, [values.length]),
        ]);
        const feeds = Object.fromEntries([...tensors, ['x', new ort.Tensor('float32', data, dims)]]) as Record<
          string,
          ort.Tensor
        >;
        const results = await session.run(feeds);
        const of = (prefix: string): number[] => {
          const found = results[prefix];
          if (found === undefined) throw new Error(`no output ${prefix}`);
          return Array.from(found.data as Float32Array, (value) => value - 0.5);
        };
        const expected = expectedOf(data);
        // Sums of 12 floats of size 3: 1e-5 is a hundred roundings.
        const close = (got: readonly number[], want: readonly number[]): void =>
          want.forEach((value, i) => expect(Math.abs(got[i]! - value)).toBeLessThan(1e-5));
        close(of('out'), expected.y);
        for (const i of [0, 1]) {
          close(of(`mean${i}`), expected.mean);
          close(of(`variance${i}`), expected.variance);
        }
        if (source !== 'initializers') {
          close(of('running0'), running.mean);
          close(of('running1'), running.variance);
        }
        // What was fed is as it was.
        for (const [name, values] of Object.entries(fed)) {
          expect([...values]).toEqual(
            name === 'fedMean'
              ? running.mean
              : name === 'fedVariance'
                ? running.variance
                : [...running.mean, ...running.variance],
          );
        }
      }
      await session.release();
    });
  });
});
