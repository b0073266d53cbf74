import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModelProto } from '../../src/onnx/proto.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';

const folder = temporaryFolder();

function written(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** A convolution of images of `side`, and what `size` numbers add to it. */
function hostile(name: string, side: number, size: readonly number[]): string {
  return written(
    name,
    buildModel({
      inputs: [{ name: 'x', dims: [1, 3, side, side] }],
      outputs: [{ name: 'y', dims: [1, 4] }],
      initializers: [
        { name: 'w', dims: [4, 3, 1, 1], data: new Float32Array(12).fill(0.1) },
        { name: 'size', type: 'int64', dims: [size.length], data: BigInt64Array.from(size.map(BigInt)) },
      ],
      nodes: [
        { op: 'Conv', name: 'conv', inputs: ['x', 'w'], outputs: ['a'] },
        { op: 'GlobalAveragePool', inputs: ['a'], outputs: ['b'] },
        { op: 'Flatten', inputs: ['b'], outputs: ['c'] },
        { op: 'ConstantOfShape', name: 'fill', inputs: ['size'], outputs: ['d'] },
        { op: 'ReduceSum', inputs: ['d'], outputs: ['e'], attributes: { keepdims: 0 } },
        { op: 'Add', inputs: ['c', 'e'], outputs: ['y'] },
      ],
    }),
  );
}

/** A loop of so many trips whose body adds to a vector, without a condition. */
function looping(name: string, trips: bigint): string {
  const loop = { name: 'body', type: 5, g: loopBody() };
  const value = (of: string, elem_type: number, dims: readonly number[]) => ({
    name: of,
    type: { tensor_type: { elem_type, shape: { dim: dims.map((dim_value) => ({ dim_value })) } } },
  });
  return written(
    name,
    ModelProto.encode({
      ir_version: 9,
      opset_import: [{ domain: '', version: 18 }],
      graph: {
        name: 'test',
        input: [value('x', 1, [1, 4])],
        output: [value('y', 1, [1, 4])],
        initializer: [
          { name: 'trips', data_type: 7, dims: [], raw_data: new Uint8Array(BigInt64Array.of(trips).buffer) },
          { name: 'w', data_type: 1, dims: [4, 4], raw_data: new Uint8Array(new Float32Array(16).fill(0.5).buffer) },
        ],
        node: [
          { op_type: 'MatMul', name: 'dense', input: ['x', 'w'], output: ['h'] },
          { op_type: 'Loop', name: 'loop', input: ['trips', '', 'h'], output: ['l'], attribute: [loop] },
          { op_type: 'Relu', name: 'relu', input: ['l'], output: ['y'] },
        ],
      },
    }),
  );
}

function loopBody(): object {
  const value = (name: string, elem_type: number, dims: readonly number[] = []) => ({
    name,
    type: { tensor_type: { elem_type, shape: { dim: dims.map((dim_value) => ({ dim_value })) } } },
  });
  return {
    name: 'body',
    input: [value('i', 7), value('go', 9), value('v', 1, [1, 4])],
    output: [value('on', 9), value('u', 1, [1, 4])],
    node: [
      { op_type: 'Identity', input: ['go'], output: ['on'] },
      { op_type: 'Add', input: ['v', 'v'], output: ['u'] },
    ],
  };
}

const fine = hostile('fine.onnx', 8, [4]);
const images = hostile('images.onnx', 60_000, [4]);
const constant = hostile('constant.onnx', 8, [2 ** 20, 2 ** 22]);

describe('models that need more memory than there is', () => {
  const forms: readonly (readonly string[])[] = [
    ['convert', constant, '--rank-scale', '0.5'],
    ['convert', constant, '--no-verify', '--latency'],
    ['merge', constant],
    ['artifacts', constant],
  ];
  it.each(forms)('%s: refused before onnxruntime sees them', (...words) => {
    const before = performance.now();
    expectFailure(
      run(...words),
      'RUNTIME',
      /one run needs 16777217 MiB of memory at the least, more than \d+ MiB; .*the largest tensor is 'd' of ConstantOfShape 'fill', float32 \[1048576, 4194304\], 16777216 MiB; allow more with --max-memory/,
    );
    expect(performance.now() - before).toBeLessThan(20_000);
  });

  it('names inputs that are too large, and the option that makes them smaller', () => {
    const outcome = run('convert', images, '--max-memory', '4096', '--rank-scale', '0.5');
    expectFailure(
      outcome,
      'RUNTIME',
      /'a' of Conv 'conv', float32 \[1, 4, 60000, 60000\], 54932 MiB.*--max-memory.*--input-shape/,
    );
    expect(outcome.stderr).not.toContain('--image-size');
  });

  it('are inspected and converted where nothing runs them', () => {
    expect(run('inspect', constant).code).toBe(0);
    const { code, stderr } = run('convert', images, '--no-verify', '--allow-bigger', '-o', join(folder, 'unrun.onnx'));
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('keeps to --max-memory', () => {
    expect(run('merge', fine, '--max-memory', '1', '-o', join(folder, 'merged.onnx')).code).toBe(0);
    expectFailure(run('merge', fine, '--max-memory', '0'), 'USAGE', /--max-memory/, 2);
  });
});

describe('models that run without end', () => {
  const endless = looping('endless.onnx', 2n ** 62n);

  it('are given up, with the option that gives them more time', () => {
    const outcome = run('convert', endless, '--verify-timeout', '1', '--allow-bigger', '-o', join(folder, 'loop.onnx'));
    expectFailure(outcome, 'RUNTIME', /running the model to \S+ .*took longer than 1 s; .*--verify-timeout/);
  });

  it('are described all the same', () => {
    const { code, stdout } = run('inspect', endless, '--verify-timeout', '1', '--json');
    expect(code).toBe(0);
    expect(stdout).toContain('took longer than 1 s');
  });

  it('run where they end', () => {
    const { code, stderr } = run('merge', looping('short.onnx', 3n), '-o', join(folder, 'short.merged.onnx'));
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });
});
