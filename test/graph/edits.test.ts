import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { checkModel } from '../../src/graph/check.js';
import { encodeModel } from '../../src/graph/encode.js';
import type { Graph } from '../../src/graph/graph.js';
import type { Model } from '../../src/graph/model.js';
import type { Node } from '../../src/graph/node.js';
import { readModel } from '../../src/graph/read.js';
import type { Value } from '../../src/graph/value.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { gather } from '../../src/files/chunk.js';
import { field, graphProto, modelProto, nodeProto, numberField, valueInfoProto } from '../support/build.js';
import { randomModel } from '../support/random-model.js';

/** One edit; `pick` chooses among what is there. */
type Edit = (graph: Graph, pick: (limit: number) => number) => void;

const choose = <T>(list: readonly T[], pick: (limit: number) => number): T | undefined => list[pick(list.length)];

/** Values that can be read by a node without making a cycle: those that no node makes. */
function sources(graph: Graph): Value[] {
  return [...graph.values.values()].filter(
    (value) => value.producer === undefined && (value.isInput || value.tensor !== undefined),
  );
}

const edits: Record<string, Edit> = {
  addNode: (graph, pick) => {
    const before = choose(graph.nodes, pick);
    const outputs = Array.from({ length: 1 + pick(2) }, () => graph.addValue(graph.uniqueName('new')));
    graph.addNode(
      {
        opType: 'Sum',
        name: graph.uniqueNodeName('node'),
        inputs: [choose(sources(graph), pick), undefined, choose(sources(graph), pick)],
        outputs,
        attributes: { axis: { type: 'int', value: -1 } },
      },
      before === undefined || pick(2) === 0 ? {} : pick(2) === 0 ? { before } : { after: before },
    );
  },
  addInitializer: (graph) => {
    graph.addInitializer(Tensor.ofInts(graph.uniqueName('weight'), [2], [1, 2]));
  },
  setInput: (graph, pick) => {
    const node = choose(graph.nodes, pick);
    if (node !== undefined)
      graph.setInput(node, pick(node.inputs.length + 2), choose([undefined, ...sources(graph)], pick));
  },
  replaceUses: (graph, pick) => {
    const from = choose([...graph.values.values()], pick);
    const to = choose(sources(graph), pick);
    if (from !== undefined && to !== undefined) graph.replaceUses(from, to);
  },
  replaceNode: (graph, pick) => {
    const node = choose(graph.nodes, pick);
    if (node === undefined) return;
    graph.replaceNode(node, () => {
      const hidden = graph.addValue(graph.uniqueName('hidden'));
      return [
        { opType: 'Relu', inputs: [node.inputs[0]], outputs: [hidden] },
        // Sometimes without all of the outputs, which may be refused.
        {
          opType: 'Sum',
          name: node.name,
          inputs: [hidden, ...node.inputs.slice(1)],
          outputs: node.outputs.slice(pick(2)),
        },
      ];
    });
  },
  removeNode: (graph, pick) => {
    const node = choose(graph.nodes, pick);
    if (node !== undefined) graph.removeNode(node);
  },
  removeIfUnused: (graph, pick) => {
    const value = choose([...graph.values.values()], pick);
    if (value !== undefined) graph.removeIfUnused(value);
  },
  setAttribute: (graph, pick) => {
    choose(graph.nodes, pick)?.setAttribute(choose(['a', 'b', 'z'], pick)!, { type: 'float', value: 0.5 });
  },
  duplicateOutput: (graph, pick) => {
    // Making a value that is there already must be refused.
    const value = choose([...graph.values.values()], pick);
    if (value !== undefined && (value.producer !== undefined || value.isInput || value.tensor !== undefined)) {
      graph.addNode({ opType: 'Relu', inputs: [], outputs: [value] });
    }
  },
};

/** What two readings of a graph must agree on. */
function summary(graph: Graph): unknown {
  return {
    nodes: graph.nodes.map((node) => [
      node.opType,
      node.name,
      node.inputs.map((value) => value?.name),
      node.outputs.map((value) => value?.name),
      [...node.attributes.keys()].sort(),
    ]),
    inputs: graph.inputs.map(({ name }) => name),
    outputs: graph.outputs.map(({ name }) => name),
    initializers: graph.initializers.map(({ name, tensor }) => [name, tensor!.dims]),
  };
}

describe('any sequence of edits', () => {
  it('leaves a graph that the checker accepts, and that reads back as it was', () => {
    const steps = fc.array(
      fc.tuple(fc.constantFrom(...Object.keys(edits)), fc.array(fc.nat(), { minLength: 8, maxLength: 8 })),
      {
        minLength: 1,
        maxLength: 25,
      },
    );
    let refused = 0;
    let done = 0;
    fc.assert(
      fc.property(randomModel, steps, (bytes, list) => {
        const model = readModel(bytes);
        for (const [kind, numbers] of list) {
          let next = 0;
          const before = summary(model.graph);
          try {
            edits[kind]!(model.graph, (limit) => (limit === 0 ? 0 : numbers[next++ % numbers.length]! % limit));
            done++;
          } catch (error) {
            // A refused edit must be a clear one, and must not have happened.
            if (!(error instanceof LowrankError) || error.code !== 'GRAPH') throw error;
            expect(summary(model.graph)).toEqual(before);
            refused++;
          }
          checkModel(model);
        }
        const again = readModel(gather(encodeModel(model)));
        checkModel(again);
        expect(summary(again.graph)).toEqual(summary(model.graph));
      }),
      { seed: 7, numRuns: 150 },
    );
    // Both kinds of outcome occur, or the test says little.
    expect(done).toBeGreaterThan(500);
    expect(refused).toBeGreaterThan(50);
  });
});

describe('a refused edit', () => {
  const build = (): Model =>
    readModel(
      modelProto(
        graphProto({
          nodes: [
            nodeProto({ op: 'Relu', inputs: ['x'], outputs: ['a'], name: 'first' }),
            nodeProto({ op: 'Relu', inputs: ['a'], outputs: ['y'], name: 'second' }),
          ],
          inputs: [valueInfoProto('x', [1])],
          outputs: [valueInfoProto('y', [1])],
        }),
      ),
    );

  it('of replaceNode leaves the node in its place', () => {
    const model = build();
    const { graph } = model;
    const [first] = graph.nodes as [Node];
    expect(() => graph.replaceNode(first, () => [])).toThrow("'a' is read but no longer produced");
    expect(() =>
      graph.replaceNode(first, () => {
        throw new Error('the builder failed');
      }),
    ).toThrow('the builder failed');
    expect(() =>
      graph.replaceNode(first, () => [
        { opType: 'Relu', inputs: [graph.value('x')], outputs: [graph.value('a')] },
        { opType: 'Relu', inputs: [graph.value('x')], outputs: [graph.value('y')] },
      ]),
    ).toThrow("'y' is defined twice");
    checkModel(model);
    expect(graph.nodes.map(({ name }) => name)).toEqual(['first', 'second']);
    expect(graph.value('a')!.producer).toBe(first);
  });

  it('of addNode leaves no trace', () => {
    const model = build();
    const { graph } = model;
    const free = graph.addValue('free');
    for (const name of ['x', 'y']) {
      const outputs = [free, graph.value(name)!];
      expect(() => graph.addNode({ opType: 'Split', inputs: [graph.value('x')], outputs })).toThrow('is defined twice');
    }
    expect(() => graph.addNode({ opType: 'Split', inputs: [], outputs: [free, free] })).toThrow('is defined twice');
    expect(free.producer).toBeUndefined();
    expect(graph.value('x')!.uses).toHaveLength(1);
    checkModel(model);
  });
});

describe('names', () => {
  it('are unique among values, nodes and the names that bodies define', () => {
    const body = graphProto({
      nodes: [nodeProto({ op: 'Relu', inputs: ['x'], outputs: ['inner'] })],
      outputs: [valueInfoProto('inner', [1])],
    });
    const attribute = Buffer.concat([field(1, 'then_branch'), field(6, body), numberField(20, 5)]);
    const model = readModel(
      modelProto(
        graphProto({
          nodes: [nodeProto({ op: 'If', inputs: ['x'], outputs: ['y'], name: 'if', attributes: [attribute] })],
          inputs: [valueInfoProto('x', [1])],
          outputs: [valueInfoProto('y', [1])],
        }),
      ),
    );
    const { graph } = model;
    expect(graph.uniqueName('inner')).toBe('inner_1');
    expect(graph.uniqueName('inner')).toBe('inner_1');
    graph.addValue('inner_1');
    expect(graph.uniqueName('inner')).toBe('inner_2');
    expect(graph.uniqueName('free')).toBe('free');
    expect(graph.uniqueNodeName('if')).toBe('if_1');
    graph.addNode({ opType: 'Relu', name: 'if_1', inputs: [graph.value('x')], outputs: [graph.addValue('z')] });
    expect(graph.uniqueNodeName('if')).toBe('if_2');
    graph.removeIfUnused(graph.value('z')!);
    expect(graph.uniqueNodeName('if_1')).toBe('if_1');
    // The body reads x: it is in use though no input of a node names it.
    graph.setInput(graph.nodes[0]!, 0, undefined);
    expect(graph.value('x')!.uses).toEqual([{ node: graph.nodes[0], index: -1 }]);
    checkModel(model);
  });
});
