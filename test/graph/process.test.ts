import { execFile } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import { readModel } from '../../src/graph/read.js';
import {
  externalData,
  field,
  flat,
  graphProto,
  modelAround,
  nodeProto,
  numberField,
  tag,
  tensorProto,
  valueInfoProto,
  vint,
} from '../support/build.js';

/** Whole processes run the built files: Node 20 runs no TypeScript. */
const built = new URL('../../dist/src/', import.meta.url);
const isBuilt = existsSync(fileURLToPath(new URL('graph/write.js', built)));

const folder = mkdtempSync(join(tmpdir(), 'lowrank-process-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const imports = `
  import { readModel } from ${JSON.stringify(new URL('graph/read.js', built).href)};
  import { writeModel } from ${JSON.stringify(new URL('graph/write.js', built).href)};
  import { checkModel } from ${JSON.stringify(new URL('graph/check.js', built).href)};
`;

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

let scripts = 0;

/** Runs an ES module in a process of its own, which is killed `killAfter` milliseconds after it says "ready". */
async function run(
  body: string,
  args: readonly string[],
  options: readonly string[] = [],
  killAfter?: number,
): Promise<Outcome> {
  const file = join(folder, `script-${scripts++}.mjs`);
  writeFileSync(file, imports + body);
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...options, file, ...args], { timeout: 100_000 }, (_, stdout, stderr) => {
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr });
    });
    if (killAfter !== undefined) {
      child.stdout!.once('data', () => setTimeout(() => child.kill('SIGKILL'), killAfter));
    }
  });
}

/** A file of `bytes` zeros behind `head` that takes no place on the disk. */
function sparseFile(name: string, head: Uint8Array, bytes: number): string {
  const path = join(folder, name);
  const fd = openSync(path, 'w');
  writeSync(fd, head);
  ftruncateSync(fd, head.length + bytes);
  closeSync(fd);
  return path;
}

describe.skipIf(!isBuilt)('a conversion that is killed with SIGKILL (needs npm run build)', () => {
  const bytes = 32 << 20;
  const data = sparseFile('in.data', Buffer.alloc(0), bytes);
  const input = join(folder, 'in.onnx');
  const elements = bytes / 4;
  const record = { location: 'in.data', offset: '0', length: String(bytes) };
  writeFileSync(input, modelAround(tensorProto('w', [elements], 1, externalData(record)), [elements]));
  const script = `
    const [input, output, times] = process.argv.slice(2);
    const model = readModel(input);
    process.stdout.write('ready');
    await new Promise((resolve) => setTimeout(resolve, 1));
    for (let i = 0; i < Number(times); i++) writeModel(model, output, { force: true });
    process.stdout.write('done');
  `;

  it('at any moment leaves a whole model or none', async () => {
    const out = join(folder, 'out');
    mkdirSync(out);
    const output = join(out, 'out.onnx');
    for (const moment of [0, 3, 7, 20, 40, 70, 110, 160]) {
      // Writes again and again, so that it is killed while it writes, however fast the disk.
      const { signal } = await run(script, [input, output, '1000000'], [], moment);
      expect(signal).toBe('SIGKILL');
      // Each data file that has its final name is complete, and so is a model that is there.
      for (const name of readdirSync(out))
        if (name.endsWith('.data')) expect(statSync(join(out, name)).size).toBe(bytes);
      if (!existsSync(output)) continue;
      const model = readModel(output);
      checkModel(model);
      expect(model.graph.value('w')!.tensor!.size).toBe(elements);
      model.file?.close();
    }
    const last = await run(script, [input, output, '1']);
    expect([last.code, last.stdout]).toEqual([0, 'readydone']);
    // What the killed ones left is gone, their complete but unused data files excepted.
    expect(readdirSync(out).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(statSync(data).size).toBe(bytes);
  });
});

describe.skipIf(!isBuilt)('memory (needs npm run build)', () => {
  const bytes = 500 << 20;
  const elements = bytes / 4;
  /** A message with `payload` zeros at its end, which the callers wrap: the length of what is missing is counted in. */
  const open = (number: number, head: Uint8Array, missing: number): Buffer =>
    flat(tag(number, 2), vint(head.length + missing), head);
  const values = { inputs: [valueInfoProto('x', [1])], outputs: [valueInfoProto('y', [1])] };

  /** Model bytes whose last `bytes` are the tensor's data. */
  const initializerModel = (): Buffer => {
    const tensor = open(5, flat(tensorProto('w', [elements], 1), tag(9, 2), vint(bytes)), bytes);
    const nodes = [nodeProto({ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] })];
    const graph = open(7, flat(graphProto({ nodes, ...values }), tensor), bytes);
    return flat(numberField(1, 8), field(8, field(1, ''), numberField(2, 17)), graph);
  };
  const constantModel = (): Buffer => {
    const tensor = open(5, flat(tensorProto('w', [elements], 1), tag(9, 2), vint(bytes)), bytes);
    const attribute = open(5, flat(field(1, 'value'), numberField(20, 4), tensor), bytes);
    const constant = open(1, flat(field(2, 'w'), field(4, 'Constant'), attribute), bytes);
    const nodes = [nodeProto({ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] })];
    const graph = open(7, flat(graphProto({ nodes, ...values }), constant), bytes);
    return flat(numberField(1, 8), field(8, field(1, ''), numberField(2, 17)), graph);
  };

  it.each([
    ['an initializer', initializerModel()],
    ['a Constant node', constantModel()],
  ])('of reading, checking and writing 500 MiB in %s stays below 150 MiB', async (name, head) => {
    const input = sparseFile(`${name.replaceAll(' ', '-')}.onnx`, head, bytes);
    const output = join(folder, 'written.onnx');
    const script = `
      const [input, output] = process.argv.slice(2);
      const model = readModel(input);
      checkModel(model);
      for (const node of model.graph.nodes) node.touch();
      writeModel(model, output, { force: true });
      // Not maxRSS alone: in Linux that begins with what the parent had.
      const { existsSync, readFileSync } = await import('node:fs');
      const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
      const peak = status.match(/VmHWM:[^0-9]*([0-9]+)/)?.[1] ?? process.resourceUsage().maxRSS;
      process.stdout.write(String(Number(peak) * 1024));
    `;
    const { stdout, stderr } = await run(script, [input, output], ['--max-old-space-size=64']);
    expect(stderr).toBe('');
    expect(statSync(output).size).toBe(statSync(input).size);
    expect(Number(stdout)).toBeGreaterThan(0);
    // An idle Node process takes about 50 MiB, one piece of a copy 4 MiB.
    expect(Number(stdout)).toBeLessThan(150 << 20);
    rmSync(output);
  });
});
