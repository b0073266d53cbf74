import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import { encodeModel } from '../../src/graph/encode.js';
import { readModel } from '../../src/graph/read.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { gather, totalLength } from '../../src/files/chunk.js';
import {
  field,
  flat,
  graphProto,
  modelProto,
  nodeProto,
  numberField,
  rawData,
  tensorProto,
  valueInfoProto,
} from '../support/build.js';

/**
 * At these sizes a quadratic algorithm takes a hundred times as long as a linear one (minutes): the limits tell one from the
 * other, also on a machine that does other work, and say nothing about speed.
 */
function within(seconds: number, action: () => void): void {
  const started = performance.now();
  action();
  expect((performance.now() - started) / 1000).toBeLessThan(seconds);
}

const edges = { inputs: [valueInfoProto('x', [1])], outputs: [valueInfoProto('y', [1])] };

/** x → v0 → v1 → … → y, each node with a weight of its own and one that all share. */
function chain(length: number): Buffer {
  const weight = Buffer.alloc(4);
  const nodes = Array.from({ length }, (_, i) =>
    nodeProto({
      op: 'Sum',
      inputs: [i === 0 ? 'x' : `v${i - 1}`, `w${i}`, 'shared'],
      outputs: [i === length - 1 ? 'y' : `v${i}`],
      name: 'node',
    }),
  );
  const initializers = Array.from({ length }, (_, i) => tensorProto(`w${i}`, [1], 1, rawData(weight)));
  const infos = Array.from({ length: length - 1 }, (_, i) => valueInfoProto(`v${i}`, [1]));
  return modelProto(
    graphProto({
      nodes,
      initializers: [...initializers, tensorProto('shared', [1], 1, rawData(weight))],
      infos,
      ...edges,
    }),
  );
}

describe('a graph of 20,000 nodes', () => {
  const length = 20_000;
  const bytes = chain(length);

  it('is read, checked, edited in a quarter of its nodes, and written', () => {
    within(60, () => {
      const model = readModel(bytes);
      const { graph } = model;
      checkModel(model);
      expect(gather(encodeModel(model)).length).toBe(bytes.length);
      for (const node of graph.nodes.filter((_, i) => i % 4 === 0)) {
        const weight = graph.addInitializer(Tensor.ofInts(graph.uniqueName('pair'), [1], [1]));
        const name = graph.uniqueNodeName('node');
        graph.replaceNode(node, () => {
          const hidden = graph.addValue(graph.uniqueName('hidden'));
          return [
            { opType: 'MatMul', name, inputs: [node.inputs[0], weight], outputs: [hidden] },
            { opType: 'Sum', name: `${name}.u`, inputs: [hidden, node.inputs[2]], outputs: node.outputs },
          ];
        });
        graph.removeIfUnused(node.inputs[1]!);
      }
      checkModel(model);
      expect(graph.nodes).toHaveLength(1.25 * length);
      expect(graph.initializers).toHaveLength(length + 1);
      const again = readModel(gather(encodeModel(model)));
      checkModel(again);
      expect(again.graph.nodes).toHaveLength(1.25 * length);
    });
  });

  it('is taken down from its end, all at once and without recursion', () => {
    within(30, () => {
      const model = readModel(bytes);
      const { graph } = model;
      const last = graph.nodes.at(-1)!;
      graph.setInput(last, 0, graph.value('x'));
      graph.removeIfUnused(graph.value(`v${length - 2}`)!);
      expect(graph.nodes).toEqual([last]);
      expect(graph.initializers.map(({ name }) => name)).toEqual([`w${length - 1}`, 'shared']);
      checkModel(model);
    });
  });

  it('moves all readers of one value to another and back', () => {
    within(30, () => {
      const model = readModel(bytes);
      const { graph } = model;
      const [from, to] = [graph.value('shared')!, graph.value('x')!];
      graph.replaceUses(from, to);
      expect(from.uses).toHaveLength(0);
      checkModel(model);
      graph.replaceUses(to, from);
      expect(from.uses).toHaveLength(length + 1);
      checkModel(model);
    });
  });

  it('may list all its weights as inputs, as IR 3 does, and hold thousands of bodies', () => {
    const count = 5000;
    const names = Array.from({ length: count }, (_, i) => `w${i}`);
    const body = field(
      5,
      flat(
        field(1, 'then_branch'),
        field(
          6,
          graphProto({
            nodes: [nodeProto({ op: 'Neg', inputs: ['x'], outputs: ['b'] })],
            outputs: [valueInfoProto('b', [1])],
          }),
        ),
        numberField(20, 5),
      ),
    );
    const model = modelProto(
      graphProto({
        nodes: names.map((name, i) =>
          nodeProto({ op: 'If', inputs: [name], outputs: [i === count - 1 ? 'y' : `v${i}`], extra: body }),
        ),
        initializers: names.map((name) => tensorProto(name, [1], 1, rawData(Buffer.alloc(4)))),
        inputs: [...edges.inputs, ...names.map((name) => valueInfoProto(name, [1]))],
        outputs: edges.outputs,
      }),
    );
    within(60, () => {
      const read = readModel(model);
      checkModel(read);
      expect(read.graph.value('x')!.uses).toHaveLength(count);
      for (let i = 0; i < count - 1; i++) read.graph.removeIfUnused(read.graph.value(`v${i}`)!);
      expect(read.graph.nodes).toHaveLength(1);
      expect(read.graph.inputs).toHaveLength(2);
      checkModel(read);
    });
  });
});

describe('a million entries', () => {
  const million = 1_000_000;
  const repeated = (entry: Uint8Array, count = million): Buffer => Buffer.alloc(entry.length * count, entry);
  const around = (...extra: Buffer[]): Buffer =>
    modelProto(graphProto({ nodes: [nodeProto({ op: 'Neg', inputs: ['x'], outputs: ['y'] })], ...edges, extra }));

  it.each([
    ['unknown fields', repeated(numberField(99, 1))],
    ['declarations (a quarter of them)', repeated(field(13, field(1, 'y')), million / 4)],
    ['nodes (a quarter of them)', repeated(field(1, field(4, 'F')), million / 4)],
    ['annotations', repeated(field(14))],
  ])('of %s are read and written back', (_, entries) => {
    const bytes = around(entries);
    within(60, () => {
      const model = readModel(bytes);
      checkModel(model);
      const chunks = encodeModel(model);
      expect(totalLength(chunks)).toBe(bytes.length);
      expect(bytes.equals(gather(chunks))).toBe(true);
    });
  });

  it('of one node are read and written back', () => {
    const attribute = flat(field(1, 'values'), numberField(20, 7), repeated(numberField(8, -1)));
    const node = nodeProto({
      op: 'Sum',
      inputs: ['x'],
      outputs: ['y'],
      attributes: [attribute],
      extra: repeated(field(1, 'x'), million / 4),
    });
    const bytes = modelProto(graphProto({ nodes: [node], ...edges }));
    within(60, () => {
      const model = readModel(bytes);
      checkModel(model);
      expect(model.graph.nodes[0]!.ints('values')).toHaveLength(million);
      expect(model.graph.nodes[0]!.inputs).toHaveLength(million / 4 + 1);
      model.graph.nodes[0]!.touch();
      expect(gather(encodeModel(model)).length).toBe(bytes.length);
      model.graph.removeNode(model.graph.addNode({ opType: 'Neg', inputs: [], outputs: [model.graph.addValue('z')] }));
      checkModel(model);
    });
  });
});
