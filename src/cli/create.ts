import { type Architecture, architectureOf, architectures, countParameters, create } from '../../models/index.js';
import { drawOrthonormalPairs } from '../adapt/orthonormal-pairs.js';
import type { ArchitectureEntry, ArchitecturesReport, CreateReport } from '../contracts/create.js';
import { LowrankError } from '../errors.js';
import type { PairRecord } from '../rewrite/pairs.js';
import { modelWrites } from '../graph/model-paths.js';
import { stageModelInPieces } from '../graph/write.js';
import { fileSha256 } from '../files/hash.js';
import { paced, type Pieces } from '../files/pieces.js';
import { checkWritable } from '../files/write-file.js';
import { formatBytes, formatWhole, plural } from '../report/format.js';
import { renderTable } from '../report/table.js';
import type { Terminal } from '../report/terminal.js';
import { type CommandResult, defineCommand } from './command.js';
import { unitsOf } from './hidden-units.js';
import { closest } from './options.js';
import { orthonormalOf, orthonormalOptions } from './orthonormal-options.js';
import { checkCommandPaths } from './paths.js';
import { tool } from '../version.js';

export const command = defineCommand({
  name: 'create',
  summary: 'write a ResNet, EfficientNet, VGG, LeNet-5 or perceptron with fresh weights',
  arguments: { arch: { description: 'architecture, such as resnet50 (see --list)', isOptional: true } },
  options: {
    output: { type: 'string', short: 'o', placeholder: 'path', description: 'where to write (default: <arch>.onnx)' },
    force: { type: 'boolean', default: false, description: 'replace an existing output file' },
    numClasses: {
      type: 'integer',
      minimum: 1,
      placeholder: 'n',
      description: 'size of the output (default: as published)',
    },
    imageSize: {
      type: 'integer',
      minimum: 1,
      placeholder: 'pixels',
      description: 'side of the square input image (default: as published)',
    },
    inChannels: {
      type: 'integer',
      minimum: 1,
      placeholder: 'n',
      description: 'channels of the input image (default: as published)',
    },
    hidden: {
      type: 'string',
      placeholder: 'n,n',
      description: 'units of the hidden layers of mlp, first to last (default: 500,500)',
    },
    seed: { type: 'integer', default: 0, minimum: 0, placeholder: 'n', description: 'seed of the weights' },
    ...orthonormalOptions,
    list: { type: 'boolean', default: false, description: 'show the architectures and write nothing' },
  },
  examples: [
    { command: 'lowrank create resnet50 -o resnet50.onnx', description: 'ResNet-50 for ImageNet, untrained' },
    { command: 'lowrank create resnet18_cifar', description: 'ResNet-18 for CIFAR-10' },
    {
      command: 'lowrank create lenet5_caffe --orthonormal --start-rank 20 --no-keep-first',
      description: 'layers drawn as low-rank pairs, for `train --adapt-ranks`',
    },
    { command: 'lowrank create --list', description: 'all architectures with their sizes' },
  ],
  async run({ arguments: { arch }, settings, given, configPath, signal, progress }) {
    if (settings.list) return listArchitectures();
    if (arch === undefined) {
      throw new LowrankError('USAGE', 'no architecture is given', { remedy: 'choose one of `lowrank create --list`' });
    }
    const architecture = named(arch);
    const { name } = architecture;
    const { seed, numClasses, imageSize, inChannels } = settings;
    const path = settings.output ?? `${name}.onnx`;
    checkCommandPaths({ config: configPath }, modelWrites(path));
    checkWritable(path, settings.force);
    const hidden = unitsOf(settings.hidden) ?? architecture.hidden;
    const drawn = orthonormalOf(settings, given);
    const model = create(name, { seed, numClasses, imageSize, inChannels, hidden });
    const pairs = drawn && (await drawOrthonormalPairs(model, { ...drawn, seed, signal }));
    const dims = model.graph.inputs[0]!.declared!.dims!;
    const params = countParameters(model);
    const step = async <Result>(phase: string, pieces: Pieces<Result>): Promise<Result> =>
      paced(pieces, {
        signal,
        onProgress: (done) =>
          progress.update({ phase, done: Math.min(100, Math.floor((25 * done) / params)), total: 100, detail: path }),
      });
    const staged = await step('writing', stageModelInPieces(model, path, { force: settings.force }));
    try {
      const hash = await step('hashing', fileSha256(staged.temporaryPath));
      const dataHash =
        staged.temporaryDataPath === undefined ? '' : await step('hashing', fileSha256(staged.temporaryDataPath));
      const { bytes, dataPath, dataBytes } = staged.commit();
      const report: CreateReport = {
        schema: 'lowrank.create/1',
        tool: { name: 'lowrank', version: tool.version },
        arch: name,
        params,
        path,
        bytes,
        sha256: hash,
        data: dataPath === undefined ? null : { path: dataPath, bytes: dataBytes, sha256: dataHash },
        seed,
        numClasses: Number(model.graph.outputs[0]!.declared!.dims![1]),
        imageSize: Number(dims[2]),
        inChannels: Number(dims[1]),
        ...(hidden === undefined ? {} : { hidden }),
        ...(pairs === undefined ? {} : { orthonormal: startOf(pairs, drawn!.decay) }),
      };
      return { document: report, text: () => summarize(report) };
    } finally {
      staged.discard();
    }
  },
});

function named(arch: string): Architecture {
  const found = architectureOf(arch);
  if (found !== undefined) return found;
  const names = architectures.map(({ name }) => name);
  const close = closest(arch, names);
  throw new LowrankError('USAGE', `there is no architecture '${arch}'`, {
    remedy: `${close === undefined ? '' : `did you mean '${close}'? `}choose one of \`lowrank create --list\``,
  });
}

function startOf(pairs: readonly PairRecord[], decay = 1): NonNullable<CreateReport['orthonormal']> {
  return { decay, layers: pairs.map(({ name, scheme, rank }) => ({ name, scheme, rank })) };
}

function summarize({ arch, params, path, bytes, data, orthonormal }: CreateReport): string {
  const size = formatBytes(bytes + (data?.bytes ?? 0));
  const pairs = orthonormal === undefined ? '' : `, ${plural(orthonormal.layers.length, 'layer')} drawn as pairs`;
  return `${arch}: ${formatWhole(params)} parameters${pairs}, ${size}, written to ${path}\n`;
}

function listArchitectures(): CommandResult {
  const report: ArchitecturesReport = {
    schema: 'lowrank.architectures/1',
    tool: { name: 'lowrank', version: tool.version },
    architectures: architectures.map(({ name, imageSize, inChannels, numClasses }) => ({
      arch: name,
      params: countParameters(create(name)),
      imageSize,
      inChannels,
      numClasses,
    })),
  };
  return { document: report, text: (terminal) => listText(report, terminal) };
}

function listText({ architectures: rows }: ArchitecturesReport, terminal: Terminal): string {
  const lines = renderTable<ArchitectureEntry>(
    [
      { header: 'architecture', align: 'left', importance: 4, value: (row) => row.arch },
      { header: 'parameters', align: 'right', importance: 3, value: (row) => formatWhole(row.params) },
      {
        header: 'input',
        align: 'left',
        importance: 2,
        value: ({ inChannels, imageSize }) => `${inChannels}x${imageSize}x${imageSize}`,
      },
      { header: 'classes', align: 'right', importance: 1, value: (row) => formatWhole(row.numClasses) },
    ],
    rows,
    terminal,
  );
  return `${lines.join('\n')}\n`;
}
