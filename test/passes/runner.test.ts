import { describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { FLOAT } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { eliminateDeadNodes } from '../../src/passes/eliminate-dead-nodes.js';
import { changeGraph, type Pass, runPasses } from '../../src/passes/runner.js';
import { buildModel, type Builder } from '../ops/support/build.js';
import { failureOf } from '../support/errors.js';
import { removeIdentity } from './support/remove-identity.js';

function chain(): Builder {
  const builder = buildModel(17);
  const { graph, node } = builder;
  const x = graph.addInput('x', { dataType: FLOAT, dims: ['n', 4] });
  const [same] = node('Identity', [x]);
  const [y] = node('Relu', [same], {}, { name: 'act' });
  const unread = graph.addInitializer(Tensor.ofFloats('unread', [4], new Float32Array(4)));
  node('Abs', [node('Neg', [unread])[0]!]);
  graph.addOutput(node('Identity', [y])[0]!);
  return builder;
}

const nothing: Pass = { name: 'nothing', summary: '', run: () => 0 };

describe('runPasses', () => {
  it('reports changes, refusals and the shapes afterwards', () => {
    const { model, graph } = chain();
    const report = runPasses(model, [removeIdentity, eliminateDeadNodes], { shapes: { bindings: { n: 3 } } });
    expect(report.passes.map(({ name, changes }) => [name, changes])).toEqual([
      ['remove-identity', 1],
      ['eliminate-dead-nodes', 3],
    ]);
    expect(report.passes[0]!.refusals.map(({ reason }) => reason)).toEqual([
      "'Identity_out_1' is an output of the model",
    ]);
    expect(graph.nodes.map(({ opType }) => opType)).toEqual(['Relu', 'Identity']);
    expect(graph.initializers).toEqual([]);
    expect(report.shapes.require(graph.outputs[0]!).dims).toEqual([3, 4]);
  });

  it('names the pass that broke the graph, and those before it', () => {
    const { model } = chain();
    const breaking: Pass = {
      name: 'breaking',
      summary: '',
      run: ({ graph }) => {
        const relu = graph.nodes.find(({ opType }) => opType === 'Relu')!;
        relu.inputs[0]!.uses.length = 0;
        return 1;
      },
    };
    expect(() => runPasses(model, [nothing, removeIdentity, breaking])).toThrow(
      expect.objectContaining({
        code: 'GRAPH',
        fact: "pass breaking left a broken graph: input 0 'x' does not know its reader",
        place: "Relu 'act', after nothing, remove-identity",
      }),
    );
  });

  it('names the pass that left shapes which contradict each other', () => {
    const { model } = chain();
    const breaking: Pass = {
      name: 'breaking',
      summary: '',
      run: ({ graph }) => {
        const relu = graph.nodes.find(({ opType }) => opType === 'Relu')!;
        const w = graph.addInitializer(Tensor.ofFloats('w', [5, 5], new Float32Array(25)));
        graph.replaceNode(relu, () => [{ opType: 'MatMul', inputs: [relu.inputs[0], w], outputs: relu.outputs }]);
        return 1;
      },
    };
    expect(() => runPasses(model, [breaking])).toThrow(
      expect.objectContaining({
        code: 'GRAPH',
        fact: 'pass breaking left a broken graph: inner sizes differ: [1, 4] × [5, 5]',
        place: "MatMul 'Relu_out', the first pass",
      }),
    );
  });

  it('holds passes to the interface of the model', () => {
    const { model } = chain();
    const narrowing: Pass = {
      name: 'narrowing',
      summary: '',
      run: ({ graph }) => {
        const relu = graph.nodes.find(({ opType }) => opType === 'Relu')!;
        graph.replaceNode(relu, () => [
          {
            opType: 'ReduceSum',
            inputs: [relu.inputs[0], graph.addInitializer(Tensor.ofInts('axes', [1], [1]))],
            outputs: relu.outputs,
          },
        ]);
        return 1;
      },
    };
    expect(() => runPasses(model, [narrowing])).toThrow(
      "pass narrowing left a broken graph: output 'Identity_out_1' float32 [1, 4] became output 'Identity_out_1' float32 [1, 1]",
    );
  });

  it('holds passes to what they require and ensure', () => {
    const refuse = (): never => {
      throw new LowrankError('UNSUPPORTED', 'opset 17 is too old', { place: 'here' });
    };
    expect(() => runPasses(chain().model, [{ ...nothing, requires: refuse }])).toThrow(
      'pass nothing does not apply: opset 17 is too old; here, the first pass',
    );
    expect(() => runPasses(chain().model, [{ ...nothing, ensures: refuse }])).toThrow(
      'pass nothing left a broken graph: opset 17 is too old',
    );
    const failing = (): never => {
      throw new TypeError('no such\nthing');
    };
    expect(() => runPasses(chain().model, [{ ...nothing, run: failing }])).toThrow(
      'pass nothing failed: no such thing; the first pass',
    );
  });

  it('stops between passes when told to', () => {
    expect(() => runPasses(chain().model, [nothing], { signal: AbortSignal.abort() })).toThrow(
      expect.objectContaining({ code: 'ABORTED' }),
    );
  });
});

describe('a change that is no pass', () => {
  it('is checked as one, and named where it broke the graph', async () => {
    const { model, graph } = chain();
    changeGraph(model, 'nothing', () => undefined);
    const { fact } = await failureOf('GRAPH', () =>
      changeGraph(model, 'cut', () =>
        graph.setInput(
          graph.nodes.find(({ name }) => name === 'act')!,
          0,
          graph.addValue('none'),
        ),
      ),
    );
    expect(fact).toMatch(/^pass cut left a broken graph: .*none/);
  });

  it('throws what it throws', async () => {
    const refused = new LowrankError('UNSUPPORTED', 'no');
    await failureOf('UNSUPPORTED', () =>
      changeGraph(chain().model, 'refused', () => {
        throw refused;
      }),
    );
  });
});
