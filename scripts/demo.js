// The main job on a fresh machine, without any other file: a ResNet is created, trained on images drawn here, converted,
// verified, fine-tuned and evaluated. Ends with one table.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { drawImages } from './demo-images.js';
import { steps } from './demo-steps.js';

const folder = 'demo-output';
const program = fileURLToPath(new URL('../bin/lowrank.js', import.meta.url));
process.chdir(fileURLToPath(new URL('..', import.meta.url)));
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
process.chdir(folder);
const started = performance.now();

/** Runs a command line as a user would, and gives what it printed. */
async function run(line) {
  process.stdout.write(`\n$ ${line}\n`);
  const child = spawn(process.execPath, [program, ...line.split(' ').slice(1)], {
    stdio: ['inherit', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => {
    text += part;
    process.stdout.write(part);
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) process.exit(code ?? 1);
  return text;
}

/** What a line of a printed report says: its name stands at the beginning, two spaces or more behind it. */
function said(text, name, pattern) {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}  `)) ?? '';
  const match = pattern.exec(line.slice(name.length).trim());
  if (match === null) throw new Error(`no line '${name}' as expected: ${line}`);
  return match.slice(1);
}

process.stdout.write(`drawing images into ${folder}/images\n`);
await drawImages('images', { train: 150, val: 50 });
const printed = [];
for (const step of steps) printed.push(await run(step));

const [conversion, converted, tuned] = [2, 3, 5].map((index) => printed[index]);
const change = (name) => said(conversion, name, /^(.+?) -> (.+?) {2}/);
const [parameters, macs, latency] = ['parameters', 'MACs', 'latency'].map(change);
const ownTop1 = (text) => said(text, 'top-1', /^([\d.]+ %)/)[0];
const original = said(converted, 'versus', /top-1 ([\d.]+ %)/)[0];
const row = (name, ...values) => `${name.padEnd(12)}${values.map((value) => value.padStart(11)).join('')}`;
process.stdout.write(
  [
    '',
    row('', 'parameters', 'MACs', 'measured', 'top-1'),
    row('original', parameters[0], macs[0], latency[0], original),
    row('converted', parameters[1], macs[1], latency[1], ownTop1(converted)),
    row('fine-tuned', parameters[1], macs[1], latency[1], ownTop1(tuned)),
    '',
    `Done in ${Math.round((performance.now() - started) / 1000)} s. Reports to open in any browser, in ${folder}: report.html (conversion), training.html, evaluation.html.`,
    '',
  ].join('\n'),
);
