import { basename } from 'node:path';
import { join } from 'node:path';
import { reads } from '../files/conflicts.js';
import { writeFileWhole } from '../files/write-file.js';
import { createStudyProgress } from '../report/study-progress.js';
import { renderStudyTable } from '../report/study-table.js';
import { runStudy, studyPaths } from '../study/run.js';
import { errorFor } from './advice.js';
import { defineCommand } from './command.js';
import { jsonText } from './output.js';
import { checkCommandPaths, writeReport } from './paths.js';
import { readStudyFile, studyKeys } from './study-file.js';

export const command = defineCommand({
  name: 'study',
  summary: 'train a grid of low-rank starts and compare the initializations; resumes',
  arguments: { study: { description: 'study file: YAML, see docs/study.md' } },
  options: {
    output: {
      type: 'string',
      short: 'o',
      placeholder: 'folder',
      description: 'where cells and reports go (default: <study>.study in the current folder)',
    },
    plan: {
      type: 'boolean',
      default: false,
      description: 'train nothing: report what is finished, and count the rest',
    },
    data: { type: 'string', placeholder: 'path', description: "training images, in place of the study file's" },
    val: { type: 'string', placeholder: 'path', description: "validation images, in place of the study file's" },
    threads: {
      type: 'integer',
      minimum: 1,
      placeholder: 'n',
      description: 'threads of onnxruntime (default: all cores, or what the study file says)',
    },
  },
  keys: studyKeys,
  examples: [
    {
      command: 'lowrank study studies/cifar10.yaml',
      description: 'trains what is not finished; writes cifar10.study/study.html and study.json',
    },
    {
      command: 'lowrank study studies/cifar10.yaml --plan',
      description: 'how many cells there are, and how many are done',
    },
    {
      command: 'lowrank study studies/resnet50.yaml --data imagenet/train --val imagenet/val',
      description: 'images from elsewhere',
    },
  ],
  async run({ arguments: { study: path }, settings, configPath, signal, commandLine, isQuiet, note }) {
    const study = await readStudyFile(path, settings);
    // Whether a key of the file was given is not looked at.
    const known = { options: command.options, keys: studyKeys, given: new Set(Object.keys(command.options)) };
    const folder = settings.output ?? `${basename(path).replace(/\.ya?ml$/i, '')}.study`;
    checkCommandPaths({ config: configPath }, [reads(path, 'the study file'), ...studyPaths(study, folder)]);
    const report = await runStudy(study, {
      folder,
      isPlan: settings.plan,
      command: commandLine,
      inWords: (error) => errorFor(error, known),
      signal,
      progress: createStudyProgress({ stream: process.stderr, enabled: !isQuiet }),
    });
    writeFileWhole(join(folder, 'study.json'), jsonText(report));
    const { studyHtml } = await import('../report/html/study.js');
    const page = join(folder, 'study.html');
    await writeReport(page, () => studyHtml(report), join(folder, 'study.json'));
    note(`report: ${page}`);
    return {
      document: report,
      text: (terminal) => renderStudyTable(report, terminal),
      exitCode: report.status === 'failed' ? 1 : 0,
    };
  },
});
