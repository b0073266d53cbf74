// A program of two commands on the real frame, for tests of what every command inherits.
import { setTimeout as sleep } from 'node:timers/promises';
import { defineCommand } from '../../../dist/src/cli/command.js';
import { main } from '../../../dist/src/cli/lowrank.js';

const probe = defineCommand({
  name: 'probe',
  summary: 'hand back what the frame gives',
  arguments: { model: { description: 'a path' }, other: { description: 'another path', isOptional: true } },
  options: {
    rankScale: { type: 'number', minimum: 0, maximum: 1, description: 'a number' },
    rankMultiple: { type: 'integer', default: 1, minimum: 1, description: 'a whole number' },
    scheme: { type: 'string', choices: ['auto', 'spatial', 'channel'], default: 'auto', description: 'one of three' },
    include: { type: 'list', description: 'repeated' },
    force: { type: 'boolean', short: 'f', default: false, description: 'off by default' },
    verify: { type: 'boolean', default: true, description: 'on by default' },
    output: { type: 'string', short: 'o', placeholder: 'path', required: true, description: 'where to write' },
    fail: { type: 'string', description: 'a way to fail' },
  },
  examples: [{ command: 'lowrank probe a.onnx -o b.onnx', description: 'an example' }],
  async run(context) {
    const { settings, resolvedSettings, commandLine } = context;
    context.note('a note');
    context.warn('a\nwarning');
    context.progress.update({ phase: 'probing', done: 1, total: 2 });
    if (settings.fail === 'plain') throw new Error('first line\nsecond line');
    if (settings.fail === 'type') context.nothing.at(0);
    if (settings.fail === 'late') {
      setImmediate(() => {
        throw new Error('thrown later');
      });
      await sleep(10_000);
    }
    if (settings.fail === 'nan') return { document: { loss: Number.NaN }, text: () => 'text\n' };
    if (settings.fail === 'afterwards') {
      const late = { document: { document: 1 }, text: () => 'text\n' };
      return Object.defineProperty(late, 'exitCode', {
        get() {
          throw new Error('thrown behind the result');
        },
      });
    }
    if (settings.fail === 'found') return { document: {}, text: () => 'text\n', exitCode: 1 };
    if (settings.fail === 'long') return { document: {}, text: () => 'line\n'.repeat(1_000_000) };
    const document = { arguments: context.arguments, settings: resolvedSettings, commandLine };
    return { document, text: () => 'text for people\n' };
  },
});

const wait = defineCommand({
  name: 'wait',
  summary: 'wait for an interruption',
  arguments: {},
  options: { stubborn: { type: 'boolean', default: false, description: 'go on after it' } },
  examples: [],
  async run({ signal, settings, progress }) {
    progress.update({ phase: 'waiting', done: 1, total: 2, detail: 'x' });
    process.stderr.write('ready\n');
    await sleep(20_000, undefined, settings.stubborn ? {} : { signal });
    return { document: {}, text: () => 'waited\n' };
  },
});

const entry = (command) => ({ summary: command.summary, load: async () => ({ command }) });
await main(null, process.argv, { probe: entry(probe), wait: entry(wait) });
