import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { trainedModel } from '../../src/step/export.js';
import { type Prepared, prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings, type GraphSettings } from '../../src/step/settings.js';
import { initialState } from '../../src/step/vectors.js';
import { failureOf } from '../support/errors.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';
import { sharedFolder } from '../support/shared.js';
import { writeTextures } from '../support/tiny-classifier.js';
import { expectRightGradients, lossOf, normal } from './support/loss-of.js';

const driver = await loadDriver();
const folder = temporaryFolder();

const floats = (name: string, dims: readonly number[], values?: readonly number[] | number): TestInitializer => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const data =
    values === undefined
      ? normal(name, size, 0.5)
      : typeof values === 'number'
        ? new Float32Array(size).fill(values)
        : Float32Array.from(values);
  return { name, dims, data };
};
const ints = (name: string, values: readonly number[]): TestInitializer => ({
  name,
  type: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const node = (op: string, inputs: string, output: string, attributes: TestNode['attributes'] = {}): TestNode => ({
  op,
  inputs: inputs === '' ? [] : inputs.split(' '),
  outputs: output.split(' '),
  attributes,
});

/** `c` [n, 8, 6, 6] is a convolution's; `inner` makes `last` [n, 8, …] of it, which is pooled and classified. */
function net(inner: readonly TestNode[], initializers: readonly TestInitializer[], weight = 'kernel'): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', 3, 6, 6] }],
    outputs: [{ name: 'y', dims: ['n', 3] }],
    nodes: [
      ...inner.filter(({ outputs }) => outputs[0]!.startsWith('w.')),
      node('Conv', `x ${weight}`, 'c', { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      ...inner.filter(({ outputs }) => !outputs[0]!.startsWith('w.')),
      node('GlobalAveragePool', 'last', 'p'),
      node('Flatten', 'p', 'f'),
      node('Gemm', 'f head bias', 'y'),
    ],
    initializers: [
      ...(weight === 'kernel' ? [floats('kernel', [8, 3, 3, 3])] : []),
      ...initializers,
      floats('head', [8, 3]),
      floats('bias', [3]),
    ],
  });
}

const prepare = (bytes: Uint8Array | string, settings: Partial<GraphSettings> = {}): Prepared =>
  prepareTraining(bytes, { settings: { ...defaultGraphSettings, ...settings } });
const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name).sort();
const keptOf = ({ kept }: Prepared): Record<string, string> =>
  Object.fromEntries(kept.map(({ value, reason }) => [value.name, reason]));
const common = ['bias', 'head', 'kernel'];

const relu = node('Relu', 'c', 'last');

/** What a tensor comes through to a layer or an operand, each with the tensors that must be trained. */
const ways: readonly (readonly [string, Uint8Array, readonly string[]])[] = [
  [
    'Slice of a stored matrix that MatMul reads (the in_proj of an attention)',
    net(
      [
        node('Transpose', 'c', 't', { perm: [0, 2, 3, 1] }),
        node('Slice', 'proj start end axis', 'w.q'),
        node('MatMul', 't w.q', 'm'),
        node('Transpose', 'm', 'last', { perm: [0, 3, 1, 2] }),
      ],
      [floats('proj', [8, 24]), ints('start', [8]), ints('end', [16]), ints('axis', [1])],
    ),
    [...common, 'proj'],
  ],
  [
    'Split, and both parts used',
    net(
      [
        node('Split', 'both', 'w.a w.b', { axis: 0, num_outputs: 2 }),
        node('Mul', 'c w.a', 'm'),
        node('Add', 'm w.b', 'last'),
      ],
      [floats('both', [16, 1, 1])],
    ),
    [...common, 'both'],
  ],
  [
    'a table that Gather reads (relative positions)',
    net(
      [node('Gather', 'table places', 'w.g'), node('Reshape', 'w.g shape', 'w.r'), node('Add', 'c w.r', 'last')],
      [floats('table', [5]), ints('places', [0, 1, 2, 3, 4, 0, 1, 2]), ints('shape', [8, 1, 1])],
    ),
    [...common, 'table'],
  ],
  [
    'weight norm: g · v / ‖v‖',
    net(
      [
        node('ReduceL2', 'v axes', 'w.n', { keepdims: 1 }),
        node('Div', 'v w.n', 'w.d'),
        node('Mul', 'g w.d', 'w.k'),
        relu,
      ],
      [floats('v', [8, 3, 3, 3]), floats('g', [8, 1, 1, 1]), ints('axes', [1, 2, 3])],
      'w.k',
    ),
    ['bias', 'head', 'g', 'v'],
  ],
  [
    'Tanh of a gate, Neg, Pad and Expand',
    net(
      [
        node('Tanh', 'gate', 'w.t'),
        node('Mul', 'c w.t', 'm'),
        node('Neg', 'shift', 'w.n'),
        node('Expand', 'w.n wide', 'w.e'),
        node('Sub', 'm w.e', 's'),
        node('Pad', 'place pads', 'w.p'),
        node('Add', 's w.p', 'last'),
      ],
      [
        floats('gate', [8, 1, 1]),
        floats('shift', [8, 1, 1]),
        ints('wide', [8, 1, 6]),
        floats('place', [8, 4, 4]),
        ints('pads', [0, 1, 1, 0, 1, 1]),
      ],
    ),
    [...common, 'gate', 'place', 'shift'],
  ],
  [
    'a kernel put together by Concat, of a part that is scaled',
    net(
      [node('Mul', 'part half', 'w.h'), node('Concat', 'w.h rest', 'w.k', { axis: 0 }), relu],
      [floats('part', [4, 3, 3, 3]), floats('half', [4, 1, 1, 1]), floats('rest', [4, 3, 3, 3])],
      'w.k',
    ),
    ['bias', 'half', 'head', 'part', 'rest'],
  ],
  [
    'a scale of one element that has a name of its own, and the exponent of a pooling',
    net(
      [node('Mul', 'c layer.scale', 'm'), node('Clip', 'm low', 'r'), node('Pow', 'r pool.p', 'last')],
      [floats('layer.scale', [1], 0.7), floats('low', [], 1e-3), floats('pool.p', [], 2.5)],
    ),
    [...common, 'layer.scale', 'pool.p'],
  ],
];

describe('what is trained', () => {
  it.each(ways)('%s', async (_, bytes, expected) => {
    const prepared = prepare(bytes);
    expect(names(prepared.parameters)).toEqual([...expected].sort());
    await expectRightGradients(driver, prepared);
    await expectRightGradients(driver, prepared, { target: 'cpu' });
  });

  it('is written back to where it lies', () => {
    const bytes = ways[3]![1];
    const prepared = prepare(bytes);
    const { parameters, statistics } = initialState(prepared, 0, false);
    const moved = parameters.map((value) => value + 1);
    const slots = { parameterSlots: prepared.parameters, statisticSlots: prepared.statistics };
    const { graph } = trainedModel(bytes, { parameters: moved, statistics, ...slots });
    for (const { name, offset, size } of prepared.parameters) {
      expect(graph.value(name)!.tensor!.toFloat32()).toEqual(moved.slice(offset, offset + size));
    }
    expect(graph.nodes.map(({ opType }) => opType)).toContain('ReduceL2');
  });
});

const masked = (value: number): number[] => Array.from({ length: 36 }, (_, i) => ((i * 7) % 3 === 0 ? value : 0));

/** Constants that exporters and authors make, and why they stay. */
const constants: readonly (readonly [string, Uint8Array, Readonly<Record<string, RegExp>>])[] = [
  ...[-100, -Infinity, -3.4028234663852886e38].map((value) => {
    const attention = [
      node('Add', 'c attn_mask', 'a'),
      node('Softmax', 'a', 's', { axis: -1 }),
      node('Mul', 's c', 'last'),
    ];
    return [
      `a mask of ${value}`,
      net(attention, [floats('attn_mask', [6, 6], masked(value))]),
      { attn_mask: /^a mask/ },
    ] as const;
  }),
  [
    'unit weights of a GroupNorm in parts',
    net(
      [
        node('Reshape', 'c groups', 'g'),
        node('InstanceNormalization', 'g ones zeros', 'i'),
        node('Reshape', 'i back', 'r'),
        node('Mul', 'r gamma', 'm'),
        node('Add', 'm beta', 'last'),
      ],
      [
        ints('groups', [0, 2, -1]),
        ints('back', [0, 8, 6, 6]),
        floats('ones', [2], 1),
        floats('zeros', [2], 0),
        floats('gamma', [8, 1, 1], 1),
        floats('beta', [8, 1, 1], 0),
      ],
    ),
    { ones: /^a unit weight/, zeros: /^a unit weight/ },
  ],
  [
    'the filter of a blur pool',
    net(
      [node('Conv', 'c filt', 'last', { group: 8, strides: [2, 2] })],
      [
        floats(
          'filt',
          [8, 1, 3, 3],
          Array.from({ length: 72 }, (_, i) => [1, 2, 1, 2, 4, 2, 1, 2, 1][i % 9]! / 16),
        ),
      ],
    ),
    { filt: /^a filter/ },
  ],
  [
    'numbers of the code',
    net(
      [node('Div', 'c /act/Constant_output_0', 'd'), node('Add', 'd val_3', 'a'), node('Mul', 'a onnx::Mul_7', 'last')],
      [floats('/act/Constant_output_0', [], 1.41), floats('val_3', [1], 1), floats('onnx::Mul_7', [], 0.5)],
    ),
    { '/act/Constant_output_0': /^a number/, val_3: /^a number/, 'onnx::Mul_7': /^a number/ },
  ],
  [
    'what only a comparison reads, and what sets an operator up',
    net(
      [node('Less', 'c limits', 'l'), node('Where', 'l c other', 'w'), node('Clip', 'w low high', 'last')],
      [floats('limits', [8, 1, 1]), floats('other', [8, 1, 1]), floats('low', [], -2), floats('high', [], 2)],
    ),
    { limits: /^Less has no gradient/, low: /^sets Clip up/, high: /^sets Clip up/ },
  ],
  [
    'a table of sines and cosines',
    net(
      [
        node('Transpose', 'c', 't', { perm: [0, 2, 3, 1] }),
        node('Add', 't places', 'a'),
        node('Transpose', 'a', 'last', { perm: [0, 3, 1, 2] }),
      ],
      [
        floats(
          'places',
          [6, 6, 8],
          Array.from({ length: 288 }, (_, i) => {
            const [place, column] = [Math.floor(i / 8), i % 8];
            const angle = place / 10 ** (column % 4);
            return column < 4 ? Math.sin(angle) : Math.cos(angle);
          }),
        ),
      ],
    ),
    { places: /^a table of sines/ },
  ],
  [
    'such a table of channels first, which a convolution reads',
    net(
      [node('Conv', 'map projection', 'w.m', { kernel_shape: [1, 1] }), node('Add', 'c w.m', 'last')],
      [
        floats(
          'map',
          [1, 8, 6, 6],
          Array.from({ length: 288 }, (_, i) => {
            const [column, place] = [Math.floor(i / 36), i % 36];
            const angle = place / 10 ** Math.floor(column / 2);
            return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
          }),
        ),
        floats('projection', [8, 8, 1, 1]),
      ],
    ),
    { map: /^a table of sines/ },
  ],
];

describe('what is not trained', () => {
  it.each(constants)('%s', (_, bytes, reasons) => {
    const prepared = prepare(bytes);
    const kept = keptOf(prepared);
    expect(Object.keys(kept).sort()).toEqual(Object.keys(reasons).sort());
    for (const [name, reason] of Object.entries(reasons)) expect(kept[name]).toMatch(reason);
    const trained = names(prepared.parameters);
    for (const name of Object.keys(reasons)) expect(trained).not.toContain(name);
  });

  it('is told where it looks like a weight, and trained with --train-also', async () => {
    const blur = constants.find(([name]) => name.startsWith('the filter'))![1];
    expect(prepare(blur).warnings).toEqual([
      "stored tensors that stay as they are: 'filt' (a filter: the same kernel in all channels); --train-also GLOB trains them",
    ]);
    const also = prepare(blur, { trainAlso: ['filt'] });
    expect(names(also.parameters)).toContain('filt');
    expect(also.warnings).toEqual([]);
    await expectRightGradients(driver, also);
    const failure = await failureOf('USAGE', () => prepare(blur, { trainAlso: ['nothing*'] }));
    expect(failure.message).toContain("--train-also 'nothing*' matches no tensor");
  });

  it('Constant nodes, but for weights of layers, in a file that has initializers', () => {
    const prepared = prepare(
      net([node('Constant', '', 'w.c', { value: floats('', [8, 1, 1]) }), node('Mul', 'c w.c', 'last')], []),
    );
    expect(keptOf(prepared)).toEqual({ 'w.c': 'a Constant node, where weights are initializers' });
  });

  it('--explain lists both, with the reasons', async () => {
    const model = join(folder, 'blur.onnx');
    writeFileSync(model, constants.find(([name]) => name.startsWith('the filter'))![1]);
    const photos = join(folder, 'photos');
    await writeTextures(join(photos, 'train'), 4, 1);
    const words = ['train', model, '--data', photos, '--batch-size', '4', '--explain'];
    const outcome = run(...words, '--json');
    expect(outcome.code, outcome.stderr).toBe(0);
    const { parameters, kept } = JSON.parse(outcome.stdout) as Record<'parameters' | 'kept', unknown>;
    expect(parameters).toContainEqual({ name: 'kernel', shape: [8, 3, 3, 3], decay: true });
    expect(kept).toEqual([{ name: 'filt', shape: [8, 1, 3, 3], reason: 'a filter: the same kernel in all channels' }]);
    expect(run(...words).stdout).toMatch(/not trained: 1 tensor, 72 numbers\n {2}filt {2}\[8, 1, 3, 3\] {2}a filter/);
  });
});

/** Two convolutions and normalizations of the same widths, whose fresh tensors an exporter stores once. */
const fresh = (scale: number): Uint8Array =>
  net(
    [
      node('BatchNormalization', 'c one zero zero one', 'b1'),
      node('Conv', 'b1 second zero', 'd', { kernel_shape: [1, 1] }),
      node('BatchNormalization', 'd one zero zero one', 'last'),
    ],
    [floats('second', [8, 8, 1, 1]), floats('one', [8], scale), floats('zero', [8], 0)],
  );

describe('equal tensors that a file stores once', () => {
  it('are trained apart, with a word, and written apart', async () => {
    const bytes = fresh(1);
    const prepared = prepare(bytes);
    expect(prepared.parameters.map(({ size }) => size).reduce((a, b) => a + b)).toBe(216 + 64 + 24 + 3 + 5 * 8);
    expect(prepared.statistics).toHaveLength(4);
    expect(prepared.warnings[0]).toMatch(/trained apart: 'one' \(4 readers\), 'zero' \(5 readers\); --tie always/);
    await expectRightGradients(driver, prepared);
    const { parameters, statistics } = initialState(prepared, 0, false);
    const slots = { parameterSlots: prepared.parameters, statisticSlots: prepared.statistics };
    const values = parameters.map((value, i) => value + i);
    const written = modelBytes(trainedModel(bytes, { parameters: values, statistics, ...slots }));
    const again = prepare(written);
    expect(again.warnings).toEqual([]);
    expect(initialState(again, 0, false).parameters).toEqual(values);
    expect(names(again.parameters)).toEqual(names(prepared.parameters));
  });

  it('are one with --tie always: a weight and a running statistic at once is then an error that names the way out', async () => {
    const failure = await failureOf('UNSUPPORTED', () => prepare(fresh(1), { tie: 'always' }));
    expect(failure.message).toMatch(/a weight and a running statistic at once.*--tie never/);
  });

  it('are a weight and a running statistic apart, whatever they hold and however they are reached', () => {
    const normalized = (inputs: string, made: readonly TestNode[], tensors: readonly TestInitializer[]): Uint8Array =>
      net([...made, node('BatchNormalization', `c ${inputs}`, 'last')], tensors);
    const values = [1, 2, 3, 4, 5, 6, 7, 8];
    const cases = [
      normalized('v v v v', [], [floats('v', [8], values)]),
      normalized('w w w w', [node('Identity', 'v', 'w')], [floats('v', [8], values)]),
      normalized('w w w w', [node('Identity', 'v', 'w')], [floats('v', [8], 1)]),
    ];
    for (const bytes of cases) {
      const { parameters, statistics } = prepare(bytes);
      expect(statistics.length).toBeGreaterThan(0);
      expect(names(parameters).filter((name) => names(statistics).includes(name))).toEqual([]);
    }
  });

  it('of other elements than one number are one parameter, unless --tie never', () => {
    const shared = net(
      [node('Mul', 'c scale', 'm'), node('Relu', 'm', 'r'), node('Mul', 'r scale', 'last')],
      [floats('scale', [8, 1, 1])],
    );
    expect(names(prepare(shared).parameters)).toEqual([...common, 'scale']);
    expect(names(prepare(shared, { tie: 'never' }).parameters)).toEqual([...common, 'scale', 'scale.2']);
  });

  it('of a layer that is run twice stay one: its readers share the kernel too', () => {
    const twice = net(
      [
        node('Conv', 'c second zero', 'd', { kernel_shape: [1, 1] }),
        node('Conv', 'd second zero', 'last', { kernel_shape: [1, 1] }),
      ],
      [floats('second', [8, 8, 1, 1]), floats('zero', [8], 0)],
    );
    expect(names(prepare(twice).parameters)).toEqual([...common, 'second', 'zero']);
  });
});

describe('BatchNormalization without running statistics', () => {
  const vectors = [
    floats('gain', [8]),
    floats('shift', [8]),
    floats('mean', [8]),
    floats('deviation', [8], [1, 2, 3, 1, 2, 3, 1, 2]),
  ];
  const cases: readonly (readonly [string, Uint8Array, readonly string[]])[] = [
    [
      'whose variance is computed',
      net(
        [node('Mul', 'deviation deviation', 'w.v'), node('BatchNormalization', 'c gain shift mean w.v', 'last')],
        vectors,
      ),
      [...common, 'deviation', 'gain', 'mean', 'shift'],
    ],
    [
      'whose mean is computed',
      net(
        [node('Mul', 'mean gain', 'w.m'), node('BatchNormalization', 'c gain shift w.m variance', 'last')],
        [...vectors.slice(0, 3), floats('variance', [8], 2)],
      ),
      [...common, 'gain', 'mean', 'shift'],
    ],
    [
      'over weights (weight standardization)',
      net(
        [
          node('Reshape', 'v rows', 'w.r'),
          node('BatchNormalization', 'w.r unit nil m0 v0', 'w.b w.rm w.rv', {
            training_mode: 1,
            epsilon: { float: 1e-6 },
          }),
          node('Reshape', 'w.b kernel_shape', 'w.k'),
          relu,
        ],
        [
          floats('v', [8, 3, 3, 3]),
          ints('rows', [1, 8, -1]),
          ints('kernel_shape', [8, 3, 3, 3]),
          floats('unit', [8]),
          floats('nil', [8]),
          floats('m0', [8], 0),
          floats('v0', [8], 1),
        ],
        'w.k',
      ),
      ['bias', 'head', 'nil', 'unit', 'v'],
    ],
  ];

  it.each(cases)('%s is an ordinary operation', async (name, bytes, expected) => {
    const prepared = prepare(bytes);
    expect(names(prepared.parameters)).toEqual([...expected].sort());
    expect(prepared.statistics).toEqual([]);
    if (name.startsWith('whose mean')) expect(keptOf(prepared)['variance']).toMatch(/variance/);
    await expectRightGradients(driver, prepared);
    await expectRightGradients(driver, prepared, { target: 'cpu' });
  });
});

describe('a batch of one', () => {
  const pooled = net(
    [node('GlobalAveragePool', 'c', 'g'), node('BatchNormalization', 'g gain shift mean deviation', 'last')],
    [floats('gain', [8]), floats('shift', [8]), floats('mean', [8]), floats('deviation', [8], 1)],
  );

  it.each(['portable', 'cpu'] as const)(
    'in front of a normalization of pooled numbers is refused by what is wrong (%s)',
    async (target) => {
      const failure = await failureOf('USAGE', () => lossOf(driver, prepare(pooled), { batch: 1, target }));
      expect(failure.message).toMatch(/a batch of 1 gives BatchNormalization one number per channel.*--batch-size/);
      await expectRightGradients(driver, prepare(pooled), { batch: 3, target });
    },
  );
});

describe('a new head', () => {
  const images = ['--normalization', 'symmetric', '--batch-size', '4', '--epochs', '1', '--quiet'];
  const vectors = [floats('v', [5, 8, 1, 1]), floats('u', [5])];
  const heads: readonly (readonly [string, readonly TestNode[], readonly TestInitializer[]])[] = [
    [
      'a convolution in front of the pooling (SqueezeNet)',
      [
        node('Conv', 'c v u', 'z', { kernel_shape: [1, 1] }),
        node('Relu', 'z', 'r'),
        node('GlobalAveragePool', 'r', 'p'),
        node('Flatten', 'p', 'f'),
        node('Softmax', 'f', 'y', { axis: 1 }),
      ],
      vectors,
    ],
    [
      'a scale, and a Reshape to a stored shape, behind a transposed weight',
      [
        node('GlobalAveragePool', 'c', 'p'),
        node('Flatten', 'p', 'f'),
        node('Transpose', 'wt', 'w2', { perm: [1, 0] }),
        node('MatMul', 'f w2', 'z'),
        node('Mul', 'z scale', 's'),
        node('Add', 's offset', 'a'),
        node('Softmax', 'a', 'q', { axis: 1 }),
        node('Reshape', 'q shape', 'y'),
      ],
      [floats('wt', [5, 8]), floats('scale', [5]), floats('offset', [5]), ints('shape', [-1, 5])],
    ],
    [
      'spelled out softmax behind a weight that two layers share',
      [
        node('GlobalAveragePool', 'c', 'p'),
        node('Flatten', 'p', 'f'),
        node('MatMul', 'f square', 'h'),
        node('Gemm', 'h square', 'z'),
        node('Exp', 'z', 'e'),
        node('ReduceSum', 'e one', 's', { keepdims: 1 }),
        node('Div', 'e s', 'y'),
      ],
      [floats('square', [8, 8]), ints('one', [1])],
    ],
  ];

  it.each(heads)('%s', async (name, nodes, initializers) => {
    const model = join(folder, 'head.onnx');
    const bytes = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 6, 6] }],
      outputs: [{ name: 'y', dims: ['n', name.startsWith('spelled') ? 8 : 5] }],
      nodes: [node('Conv', 'x kernel', 'c', { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), ...nodes],
      initializers: [floats('kernel', [8, 3, 3, 3]), ...initializers],
    });
    writeFileSync(model, bytes);
    const photos = join(folder, 'photos');
    await writeTextures(join(photos, 'train'), 4, 1);
    const output = join(folder, 'head-out.onnx');
    const outcome = run('train', model, '-o', output, '--data', photos, '--new-head', '--force', ...images);
    expect(outcome.code, outcome.stderr).toBe(0);
    const written = readModel(output);
    expect(written.graph.outputs[0]!.declared!.dims).toEqual(['n', 3]);
    const session = await driver.createSession(output);
    const { y } = await session.run({ x: { type: 'float32', dims: [2, 3, 6, 6], data: normal('images', 216) } });
    await session.close();
    expect(y!.dims).toEqual([2, 3]);
  });

  it('of a model that ends in something else is refused by what it ends in', () => {
    const model = join(folder, 'no-head.onnx');
    const odd = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 6, 6] }],
      outputs: [{ name: 'y', dims: ['n', 8] }],
      nodes: [
        node('Conv', 'x kernel', 'c', { kernel_shape: [3, 3] }),
        node('ReduceMax', 'c axes', 'y', { keepdims: 0 }),
      ],
      initializers: [floats('kernel', [8, 3, 3, 3]), ints('axes', [2, 3])],
    });
    writeFileSync(model, odd);
    const outcome = run('train', model, '-o', join(folder, 'no.onnx'), '--data', join(folder, 'photos'), '--new-head');
    expectFailure(outcome, 'UNSUPPORTED', /could be replaced: it ends in ReduceMax/);
  });
});

/** A net with BatchNormalization and Dropout in the form that `training` says. */
const inForm = (training: boolean, opset = 17): Uint8Array =>
  buildModel({
    opset,
    inputs: [{ name: 'x', dims: ['n', 3, 6, 6] }],
    outputs: [{ name: 'y', dims: ['n', 3] }],
    nodes: [
      node('Conv', 'x kernel', 'c', { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      node(
        'BatchNormalization',
        'c gain shift mean variance',
        training ? 'b rm rv' : 'b',
        training && opset >= 14 ? { training_mode: 1 } : {},
      ),
      node('GlobalAveragePool', 'b', 'p'),
      node('Flatten', 'p', 'f'),
      opset < 12
        ? node('Dropout', 'f', 'd', { ratio: { float: 0.5 } })
        : node('Dropout', training ? 'f ratio yes' : 'f ratio', 'd'),
      node('Gemm', 'd head bias', 'y'),
    ],
    initializers: [
      floats('kernel', [8, 3, 3, 3]),
      floats('gain', [8]),
      floats('shift', [8]),
      floats('mean', [8]),
      floats('variance', [8], [1, 2, 3, 4, 1, 2, 3, 4]),
      floats('head', [8, 3]),
      floats('bias', [3]),
      ...(opset < 12
        ? []
        : [floats('ratio', [], 0.5), { name: 'yes', type: 'bool' as const, dims: [], data: Uint8Array.of(1) }]),
    ],
  });

describe('a model in training form', () => {
  it.each([17, 13, 11])('of opset %i is evaluated and written in inference form', async (opset) => {
    const prepared = prepare(inForm(true, opset));
    const warning =
      opset < 12 ? /1 BatchNormalization put into inference form/ : /1 BatchNormalization and 1 Dropout put into/;
    expect(prepared.warnings[0]).toMatch(warning);
    expect(names(prepared.statistics)).toEqual(['mean', 'variance']);
    const plain = prepare(inForm(false, opset));
    expect(plain.warnings).toEqual([]);
    const slots = { parameterSlots: prepared.parameters, statisticSlots: prepared.statistics };
    const { parameters, statistics } = initialState(prepared, 0, false);
    const bytes = modelBytes(trainedModel(inForm(true, opset), { parameters, statistics, ...slots }));
    const written = readModel(bytes).graph.nodes;
    expect(
      written.some((n) => n.is('BatchNormalization') && (n.int('training_mode', 0) !== 0 || n.outputs.length > 1)),
    ).toBe(false);
    const input = { type: 'float32', dims: [2, 3, 6, 6], data: normal('images', 216) } as const;
    const outputs: Float32Array[] = [];
    for (const model of [bytes, inForm(false, opset)]) {
      const session = await driver.createSession(model);
      outputs.push((await session.run({ x: input }))['y']!.data as Float32Array);
      await session.close();
    }
    expect(outputs[0]).toEqual(outputs[1]);
  });

  it.each(['convert', 'inspect', 'merge'])('%s says so', (command) => {
    const model = join(folder, 'training-form.onnx');
    writeFileSync(model, inForm(true));
    const output = command === 'inspect' ? [] : ['-o', join(folder, `${command}.onnx`), '--force'];
    const outcome = run(command, model, ...output, '--json');
    expect(outcome.code, outcome.stderr).toBe(0);
    expect((JSON.parse(outcome.stdout) as { warnings: string[] }).warnings.join()).toMatch(/put into inference form/);
    if (command === 'inspect') return;
    const { graph } = readModel(join(folder, `${command}.onnx`));
    expect(graph.nodes.every((n) => n.int('training_mode', 0) === 0 && n.inputs.length < 6)).toBe(true);
    expect(graph.nodes.find((n) => n.is('Dropout'))?.inputs.length ?? 2).toBe(2);
  });
});

const cases = join(sharedFolder, 'cases');

describe.skipIf(!existsSync(cases))('inputs that failed', () => {
  const photos = ['--data', join(cases, 'softmax-end', 'photos'), '--normalization', 'symmetric'];

  it('tied: biases and norms that are equal when fresh', async () => {
    const prepared = prepare(join(cases, 'tied', 'equal-initializers.onnx'));
    expect(prepared.parameters.reduce((sum, { size }) => sum + size, 0)).toBe(1188);
    await expectRightGradients(driver, prepared);
  });

  it.each(['computed_variance', 'mean_by_constantofshape', 'shared_statistics', 'standardized', 'plain'])(
    'computed statistics: %s',
    async (name) => {
      const prepared = prepare(join(cases, 'computed-statistics', `${name}.onnx`));
      await expectRightGradients(driver, prepared);
      await expectRightGradients(driver, prepared, { target: 'cpu' });
    },
  );

  it('training form: TRAINING and PRESERVE are evaluated alike', () => {
    const losses = ['TRAINING', 'PRESERVE'].map((name) => {
      const outcome = run('eval', join(cases, 'training-form', `${name}.onnx`), ...photos, '--json', '--quiet');
      expect(outcome.code, outcome.stderr).toBe(0);
      return (JSON.parse(outcome.stdout) as { loss: number; top1: number }).loss;
    });
    expect(losses[0]).toBe(losses[1]);
  });

  it.each(['new_head_reshape', 'new_head_tied', 'new_head_flat_weight'])('new head: %s', (name) => {
    const output = join(folder, `${name}.onnx`);
    const model = join(cases, 'new-head', `${name}.onnx`);
    const words = ['train', model, '-o', output, ...photos, '--new-head', '--epochs', '1', '--batch-size', '8'];
    const outcome = run(...words, '--quiet');
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(run('eval', output, ...photos, '--json', '--quiet').code).toBe(0);
    expect(readModel(output).graph.outputs[0]!.declared!.dims!.at(-1)).toBe(4);
  });
});
