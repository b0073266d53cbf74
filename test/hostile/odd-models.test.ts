import { describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { readModel } from '../../src/graph/read.js';
import { lowerForwardFor } from '../../src/lower/chwn/forward.js';
import { type Message, ModelProto } from '../../src/onnx/proto.js';
import { inferShapes } from '../../src/ops/infer.js';
import * as operators from '../../src/ops/index.js';
import { buildEvalGraph } from '../../src/step/eval-graph.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { type Random, randomOf } from '../support/mutate.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

/** Seeds are numbers from 0, so that a failure names the one to look at. */
const mutants = Number(process.env['LOWRANK_FUZZ'] ?? 200);

interface Parts {
  readonly node: (Message & {
    op_type: string;
    input: string[];
    readonly output: readonly string[];
    attribute: unknown[];
  })[];
  readonly initializer: (Message & { readonly name: string; dims: unknown[]; data_type: number })[];
}

const names = Object.values(operators).map(({ opType }) => opType);
const lists = ['axis', 'pads', 'strides', 'perm', 'kernel_shape', 'dilations'] as const;
const numbers = ['axis', 'group', 'transB', 'training_mode', 'keepdims', 'to', 'ceil_mode'] as const;

/** Well-formed protobuf of a graph that makes little sense: another operator, edge, attribute, shape or type. */
function change({ node: nodes, initializer: initializers }: Parts, random: Random): void {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const [node, tensor] = [pick(nodes), pick(initializers)];
  const at = random(Math.max(1, node.input.length));
  const changes: readonly (() => void)[] = [
    () => (node.op_type = pick(names)),
    () => node.input.splice(at, 1),
    () => (node.input[at] = pick(initializers).name),
    () => (node.input[at] = pick(nodes).output[0]!),
    () => (tensor.dims = [...tensor.dims, 1]),
    () => (tensor.data_type = pick([6, 7, 8, 9, 10, 11, 16])),
    () => (node.attribute = []),
    () => (node.attribute = [{ name: pick(lists), type: 7, ints: [random(5) - 2, random(5) - 2, 1, 1] }]),
    () => (node.attribute = [{ name: pick(numbers), type: 2, i: random(9) - 3 }]),
  ];
  pick(changes)();
}

/** Everything that looks at a model before it is run. */
function lookAt(bytes: Uint8Array): void {
  const model = readModel(bytes);
  findLayers(model.graph, inferShapes(model));
  const prepared = prepareTraining(bytes, { settings: defaultGraphSettings });
  const emit = { batch: 4, isBatchOpen: false };
  buildGradientGraph(prepared, defaultGraphSettings, emit);
  buildGradientGraph(prepared, defaultGraphSettings, emit, lowerForwardFor({ hasContribOperators: false }));
  buildEvalGraph(prepared, { batch: 4, isBatchOpen: true });
}

describe('models that make little sense', () => {
  it('are read, or refused in one line that is no defect of ours', () => {
    const original = tinyClassifier({ dropout: 0.3 });
    const outcomes: Record<string, number> = {};
    for (let seed = 0; seed < mutants; seed++) {
      const random = randomOf(seed);
      const message = ModelProto.decode(original);
      for (let times = 1 + random(2); times > 0; times--) change(message['graph'] as Parts, random);
      let outcome = 'read';
      try {
        lookAt(ModelProto.encode(message));
      } catch (error) {
        outcome = error instanceof LowrankError ? error.code : `${seed}: ${String(error)}`;
        expect({ seed, outcome, error: String(error) }).not.toMatchObject({ outcome: 'INTERNAL' });
        expect(String(error)).not.toMatch(/[\r\n]/);
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    const codes = new Set(['read', 'SHAPE', 'GRAPH', 'FORMAT', 'UNSUPPORTED']);
    expect(Object.keys(outcomes).filter((outcome) => !codes.has(outcome))).toEqual([]);
    expect(Object.keys(outcomes)).toEqual(expect.arrayContaining(['read', 'SHAPE', 'GRAPH']));
  });
});
