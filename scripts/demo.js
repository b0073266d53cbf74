// The main job on a fresh machine, without any other file: create a ResNet, convert it, verify, inspect.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = 'demo-output';
process.chdir(fileURLToPath(new URL('..', import.meta.url)));
mkdirSync(folder, { recursive: true });

function run(command, ...args) {
  process.stdout.write(`\n$ lowrank ${command} ${args.join(' ')}\n`);
  const { status } = spawnSync(process.execPath, ['bin/lowrank.js', command, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const full = `${folder}/resnet18.onnx`;
const small = `${folder}/resnet18.lowrank.onnx`;
const report = `${folder}/report.html`;

run('create', 'resnet18', '-o', full, '--image-size', '96', '--force');
run('convert', full, '-o', small, '--rank-scale', '0.25', '--latency', '--report', report, '--force');
run('inspect', small, '--no-spectrum');
process.stdout.write(`\nDone. The report with charts is ${folder}/report.html; open it in any browser.\n`);
