import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes, stageModel, writeModel, type WriteOptions } from '../../src/graph/write.js';
import { Tensor } from '../../src/onnx/tensor.js';
import {
  externalData,
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
import { failureOf } from '../support/errors.js';
import { freshFolderForEach } from '../support/fresh-folder.js';
import { canMount, mountTmpfs } from '../support/mount.js';
import { hasShared, modelPath } from '../support/shared.js';

let folder = '';
freshFolderForEach((fresh) => (folder = fresh));

/** `count` float32 that tell where they come from. */
const floats = (first: number, count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => first + i);
const bytesOf = (array: Float32Array): Buffer => Buffer.from(array.buffer);
const count = 512; // 2 KiB: worth a place in a data file

const weightModel = (weights: readonly Uint8Array[], names: readonly string[]): Buffer =>
  modelProto(
    graphProto({
      nodes: [nodeProto({ op: 'Sum', inputs: ['x', ...names], outputs: ['y'], name: 'sum' })],
      initializers: weights,
      inputs: [valueInfoProto('x', [count])],
      outputs: [valueInfoProto('y', [count])],
    }),
  );

const inlineWeight = (name: string, first: number): Buffer =>
  tensorProto(name, [count], 1, rawData(bytesOf(floats(first, count))));
const outsideWeight = (name: string, location: string, offset: number): Buffer =>
  tensorProto(name, [count], 1, externalData({ location, offset: String(offset), length: String(4 * count) }));

/** Every weight that a model at `path` reads, by name. */
function weightsAt(path: string): Record<string, number> {
  const model = readModel(path);
  try {
    checkModel(model);
    return Object.fromEntries(model.graph.initializers.map(({ name, tensor }) => [name, firstOf(tensor!)]));
  } finally {
    model.file?.close();
  }
}

/** The first element, if all that follow count up from it. */
function firstOf(tensor: Tensor): number {
  const values = tensor.toFloat32();
  expect(values).toEqual(floats(values[0]!, values.length));
  return values[0]!;
}

/** Reads, changes, writes and closes. */
function convert(
  from: string,
  to: string,
  options: WriteOptions = {},
  change: (model: Model) => void = () => undefined,
): void {
  const model = readModel(from);
  try {
    change(model);
    writeModel(model, to, options);
  } finally {
    model.file?.close();
  }
}

const addWeight = ({ graph }: Model): void => {
  const weight = graph.addInitializer(Tensor.ofFloats('new', [count], floats(9000, count)));
  graph.setInput(graph.nodes[0]!, graph.nodes[0]!.inputs.length, weight);
};

describe('a model without external data', () => {
  it('is written byte for byte, and changed ones inline too', () => {
    const bytes = weightModel([inlineWeight('a', 1)], ['a']);
    const input = join(folder, 'in.onnx');
    writeFileSync(input, bytes);
    convert(input, join(folder, 'out.onnx'));
    expect(readFileSync(join(folder, 'out.onnx')).equals(bytes)).toBe(true);
    convert(input, join(folder, 'more.onnx'), {}, addWeight);
    expect(weightsAt(join(folder, 'more.onnx'))).toEqual({ a: 1, new: 9000 });
    expect(readdirSync(folder).sort()).toEqual(['in.onnx', 'more.onnx', 'out.onnx']);
  });

  it('moves its data out where it is told to, or where it would become too large', () => {
    const input = join(folder, 'in.onnx');
    writeFileSync(input, weightModel([inlineWeight('a', 1), inlineWeight('b', 2)], ['a', 'b']));
    for (const options of [{ dataLocation: 'external' }, { largestFile: 3000 }] as const) {
      const output = join(folder, `${Object.keys(options)[0]}.onnx`);
      convert(input, output, options, addWeight);
      expect(weightsAt(output)).toEqual({ a: 1, b: 2, new: 9000 });
      expect(readFileSync(output).length).toBeLessThan(1000);
      expect(readFileSync(`${output}.data`).length).toBe(3 * 2048);
    }
  });

  it('is refused where that is not enough, or where it must stay inline', async () => {
    const input = join(folder, 'in.onnx');
    writeFileSync(input, weightModel([inlineWeight('a', 1)], ['a']));
    const output = join(folder, 'out.onnx');
    for (const options of [{ largestFile: 50 }, { largestFile: 1000, dataLocation: 'inline' }] as const) {
      const error = await failureOf('OUTPUT', () => {
        convert(input, output, options);
      });
      expect(error.message).toMatch(/^the model would have \d+ bytes, more than protobuf can hold; .*out\.onnx; /);
    }
    expect(readdirSync(folder)).toEqual(['in.onnx']);
  });
});

describe('a model with external data', () => {
  const build = (): string => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(
      join(folder, 'one.bin'),
      flat(Buffer.alloc(100), bytesOf(floats(1, count)), bytesOf(floats(2, count))),
    );
    writeFileSync(join(folder, 'sub', 'two.bin'), bytesOf(floats(3, count)));
    const path = join(folder, 'in.onnx');
    const weights = [
      outsideWeight('a', 'one.bin', 100),
      outsideWeight('b', 'one.bin', 100 + 4 * count),
      outsideWeight('c', 'sub/two.bin', 0),
      outsideWeight('shared', './one.bin', 100),
      inlineWeight('inline', 4),
    ];
    writeFileSync(path, weightModel(weights, ['a', 'b', 'c', 'shared', 'inline']));
    return path;
  };
  const all = { a: 1, b: 2, c: 3, shared: 1, inline: 4 };

  it('from several files gets one file of its own; what was shared is shared, what was inline stays', () => {
    const input = build();
    const output = join(folder, 'out', 'out.onnx');
    mkdirSync(join(folder, 'out'));
    convert(input, output, {}, addWeight);
    expect(weightsAt(output)).toEqual({ ...all, new: 9000 });
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(['out.onnx', 'out.onnx.data']);
    // a and shared once, b, c, and the new weight.
    expect(readFileSync(`${output}.data`).length).toBe(4 * 2048);
    const model = readModel(output);
    expect(model.graph.value('inline')!.tensor!.isExternal).toBe(false);
    expect(model.graph.value('new')!.tensor!.external?.location).toBe('out.onnx.data');
    model.file?.close();
  });

  it('can be written inline', () => {
    const output = join(folder, 'out.onnx');
    convert(build(), output, { dataLocation: 'inline' });
    rmSync(join(folder, 'one.bin'));
    expect(weightsAt(output)).toEqual(all);
    const input = readModel(output);
    expect(readModel(modelBytes(input)).graph.initializers).toHaveLength(5);
    input.file?.close();
  });

  it('is one file where it is to be, as far as one file holds it', () => {
    const input = build();
    const output = join(folder, 'out.onnx');
    convert(input, output, { dataLocation: 'single' });
    expect(existsSync(`${output}.data`)).toBe(false);
    expect(weightsAt(output)).toEqual(all);
    convert(input, join(folder, 'large.onnx'), { dataLocation: 'single', largestFile: 3000 });
    expect(existsSync(join(folder, 'large.onnx.data'))).toBe(true);
    expect(weightsAt(join(folder, 'large.onnx'))).toEqual(all);
  });

  it('is written the same each time', () => {
    const input = build();
    for (const name of ['first', 'second']) {
      mkdirSync(join(folder, name));
      convert(input, join(folder, name, 'out.onnx'), {}, addWeight);
    }
    for (const file of ['out.onnx', 'out.onnx.data']) {
      expect(readFileSync(join(folder, 'first', file)).equals(readFileSync(join(folder, 'second', file)))).toBe(true);
    }
  });

  it('does not touch a data file that is there', () => {
    const input = build();
    writeFileSync(join(folder, 'out.onnx.data'), 'of somebody else');
    writeFileSync(join(folder, 'out.onnx.1.data'), 'too');
    convert(input, join(folder, 'out.onnx'));
    expect(weightsAt(join(folder, 'out.onnx'))).toEqual(all);
    expect(readFileSync(join(folder, 'out.onnx.data'), 'utf8')).toBe('of somebody else');
    expect(readFileSync(join(folder, 'out.onnx.1.data'), 'utf8')).toBe('too');
    expect(existsSync(join(folder, 'out.onnx.2.data'))).toBe(true);
  });

  it('replaces an old pair with --force, and removes the data file of the old', () => {
    const input = build();
    const output = join(folder, 'out.onnx');
    const before = readdirSync(folder);
    convert(input, output);
    for (const data of ['out.onnx.1.data', 'out.onnx.data', 'out.onnx.1.data']) {
      convert(input, output, { force: true }, addWeight);
      expect(weightsAt(output)).toEqual({ ...all, new: 9000 });
      expect(readdirSync(folder).sort()).toEqual([...before, 'out.onnx', data].sort());
    }
    convert(input, output, { force: true, dataLocation: 'inline' });
    expect(readdirSync(folder).sort()).toEqual([...before, 'out.onnx'].sort());
  });

  it('keeps data files of the old that it did not name, and those that it reads itself', () => {
    const input = build();
    const before = readdirSync(folder);
    convert(input, input, { force: true }, addWeight);
    expect(weightsAt(input)).toEqual({ ...all, new: 9000 });
    expect(readdirSync(folder).sort()).toEqual([...before, 'in.onnx.data'].sort());
    // Once more: the input's own data is in.onnx.data now, and another model may use it.
    symlinkSync(folder, `${folder}-link`);
    convert(join(`${folder}-link`, 'in.onnx'), input, { force: true });
    expect(weightsAt(input)).toEqual({ ...all, new: 9000 });
    expect(readdirSync(folder).sort()).toEqual([...before, 'in.onnx.1.data', 'in.onnx.data'].sort());
  });

  it('that stands beside its place can be verified there, and leaves no trace where it is discarded', () => {
    const input = build();
    const before = readdirSync(folder);
    const model = readModel(input);
    const staged = stageModel(model, join(folder, 'out.onnx'));
    expect(weightsAt(staged.temporaryPath)).toEqual(all);
    staged.discard();
    staged.discard();
    expect(readdirSync(folder)).toEqual(before);
    const again = stageModel(model, join(folder, 'out.onnx'));
    expect(again.commit()).toMatchObject({ dataPath: join(folder, 'out.onnx.data'), dataBytes: 3 * 2048 });
    again.discard();
    expect(weightsAt(join(folder, 'out.onnx'))).toEqual(all);
    model.file?.close();
  });

  it('whose data shrinks before it is copied leaves no trace', async () => {
    const input = build();
    const model = readModel(input);
    const before = readdirSync(folder);
    writeFileSync(join(folder, 'one.bin'), 'short');
    await failureOf('INPUT', () => writeModel(model, join(folder, 'out.onnx')));
    expect(readdirSync(folder)).toEqual(before);
    model.file?.close();
  });

  it.skipIf(!canMount)('on a disk that is full in the middle leaves no trace (needs root)', async () => {
    const mounted = mountTmpfs('size=64k')!;
    try {
      const input = build();
      const output = join(mounted.folder, 'out.onnx');
      writeFileSync(join(mounted.folder, 'filler'), Buffer.alloc(54_000));
      const model = readModel(input);
      await failureOf('OUTPUT', () => writeModel(model, output));
      await failureOf('OUTPUT', () => writeModel(model, output, { dataLocation: 'inline' }));
      expect(readdirSync(mounted.folder)).toEqual(['filler']);
      rmSync(join(mounted.folder, 'filler'));
      writeModel(model, output);
      expect(weightsAt(output)).toEqual(all);
      model.file?.close();
    } finally {
      mounted.unmount();
    }
  });
});

describe('external data inside of nodes and functions', () => {
  const attribute = (name: string, type: number, number: number, payload: Uint8Array): Buffer =>
    flat(field(1, name), field(number, payload), numberField(20, type));
  const constant = (output: string, location: string): Buffer =>
    nodeProto({
      op: 'Constant',
      outputs: [output],
      name: output,
      attributes: [attribute('value', 4, 5, outsideWeight('', location, 0))],
    });

  /** Where external data can be: a Constant, one that is edited, the body of an If, a function, a sparse tensor. */
  function build(): string {
    ['k', 'edited', 'body', 'inner', 'function', 'sparse'].forEach((name, i) => {
      writeFileSync(join(folder, `${name}.bin`), bytesOf(floats(10 * (i + 1), count)));
    });
    const body = graphProto({
      nodes: [constant('inner', 'inner.bin'), nodeProto({ op: 'Add', inputs: ['body', 'inner'], outputs: ['branch'] })],
      initializers: [outsideWeight('body', 'body.bin', 0)],
      outputs: [valueInfoProto('branch', [count])],
    });
    const sparse = flat(
      field(1, outsideWeight('sparse', 'sparse.bin', 0)),
      field(2, tensorProto('', [count], 7, rawData(Buffer.alloc(8 * count)))),
      numberField(3, count),
    );
    const branches = ['then_branch', 'else_branch'].map((name) => attribute(name, 5, 6, body));
    const graph = graphProto({
      nodes: [
        constant('k', 'k.bin'),
        constant('edited', 'edited.bin'),
        nodeProto({ op: 'If', inputs: ['x'], outputs: ['i'], name: 'if', attributes: branches }),
        nodeProto({ op: 'F', domain: 'local', inputs: ['i'], outputs: ['f'], name: 'f' }),
        nodeProto({ op: 'Sum', inputs: ['x', 'k', 'edited', 'sparse', 'f'], outputs: ['y'], name: 'sum' }),
      ],
      inputs: [valueInfoProto('x', [count])],
      outputs: [valueInfoProto('y', [count])],
      extra: field(15, sparse),
    });
    const local = flat(
      field(1, 'F'),
      field(4, 'in'),
      field(5, 'out'),
      field(7, constant('out', 'function.bin')),
      field(10, 'local'),
    );
    const extra = flat(field(8, field(1, 'local'), numberField(2, 1)), field(25, local));
    const path = join(folder, 'in.onnx');
    writeFileSync(path, modelProto(graph, { extra }));
    return path;
  }

  it('goes with the model to another folder', () => {
    const input = build();
    const other = join(folder, 'other');
    mkdirSync(other);
    const edit = ({ graph }: Model): void => {
      graph.nodes[1]!.setAttribute('note', { type: 'int', value: 1 });
      graph.setInput(graph.nodes[4]!, 5, graph.value('x'));
    };
    convert(input, join(other, 'out.onnx'), {}, edit);
    convert(input, join(other, 'inline.onnx'), { dataLocation: 'inline' }, edit);
    expect(readdirSync(other).sort()).toEqual(['inline.onnx', 'out.onnx', 'out.onnx.data']);
    // Six tensors, each once although the body stands in two branches.
    expect(readFileSync(join(other, 'out.onnx.data')).length).toBe(6 * 4 * count);
    const locations = readFileSync(join(other, 'out.onnx'))
      .toString('latin1')
      .match(/[\w.]*\.bin/g);
    expect(locations).toBeNull();
    for (const name of readdirSync(folder)) if (name.endsWith('.bin')) rmSync(join(folder, name));
    for (const name of ['out.onnx', 'inline.onnx']) {
      const model = readModel(join(other, name));
      checkModel(model);
      const [k, edited] = model.graph.nodes.slice(0, 2).map((node) => firstOf(node.tensor('value')!));
      expect([k, edited]).toEqual([10, 20]);
      expect(model.graph.nodes[1]!.int('note')).toBe(1);
      // Every weight of bodies, functions and sparse tensors is there, in order of its first byte.
      const everything = readFileSync(join(other, name === 'out.onnx' ? 'out.onnx.data' : name));
      for (const first of [30, 40, 50, 60]) expect(everything.includes(bytesOf(floats(first, count)))).toBe(true);
      model.file?.close();
    }
  });

  it('is wanted when the model is read', async () => {
    for (const name of ['k', 'body', 'inner', 'function', 'sparse']) {
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      const input = build();
      rmSync(join(folder, `${name}.bin`));
      const error = await failureOf('EXTERNAL_DATA', () => readModel(input));
      expect(error.message).toContain(`external data file '${name}.bin' is missing`);
    }
  });

  it('survives that every node is touched', () => {
    const input = build();
    const model = readModel(input);
    for (const node of model.graph.nodes) node.touch();
    const staged = stageModel(model, join(folder, 'out.onnx'));
    const again = readModel(staged.temporaryPath);
    expect(again.graph.nodes.map(({ label }) => label)).toEqual(model.graph.nodes.map(({ label }) => label));
    again.file?.close();
    staged.discard();
    model.file?.close();
  });
});

describe.skipIf(!hasShared)('real pairs', () => {
  it.each([
    'reid-seresnet-pt2.11-op18/best_model.onnx',
    'efficientnet_b0-14cls-pt2.9-op18/efficientnet_b0.onnx',
    'exports/dynamo/timm_efficientnet_b0.onnx',
  ])('%s moves, with every weight', (name) => {
    const output = join(folder, 'out.onnx');
    convert(modelPath(name), output);
    const [before, after] = [readModel(modelPath(name)), readModel(output)];
    for (const [i, value] of before.graph.initializers.entries()) {
      const moved = after.graph.initializers[i]!.tensor!;
      expect([moved.name, moved.dims, moved.isExternal]).toEqual([
        value.name,
        value.tensor!.dims,
        value.tensor!.isExternal,
      ]);
      expect(Buffer.from(moved.bytes()).equals(value.tensor!.bytes())).toBe(true);
    }
    before.file?.close();
    after.file?.close();
  });
});
