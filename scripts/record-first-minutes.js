// Runs what a new user types in the first five minutes, from the packed package on, and writes it down: docs/first-five-minutes.md, with long
// outputs abridged, and docs/first-five-minutes.cast, whole and with its times (asciinema 2).
//   npm run build && node scripts/record-first-minutes.js MODEL.onnx TRAIN VAL "what the model and the pictures are"
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { steps } from './first-minutes-steps.js';

const [model, train, val, subject] = process.argv.slice(2);
if (subject === undefined) {
  process.stderr.write('usage: node scripts/record-first-minutes.js MODEL.onnx TRAIN VAL "what they are"\n');
  process.exit(2);
}
const root = fileURLToPath(new URL('..', import.meta.url));
const width = 160;
const folder = mkdtempSync(join(tmpdir(), 'lowrank-first-'));
const [work, prefix] = ['work', 'prefix'].map((name) => join(folder, name));

/** Where things lie for the recording alone, and where they would. */
const places = [
  [work, '/home/you'],
  [prefix, '/usr/local'],
];
const inPlace = (text) => places.reduce((known, [path, shown]) => known.replaceAll(path, shown), text);

/** Runs a line in a shell; `onOutput` gets whole lines of both streams as they come. Gives the exit code. */
async function shell(line, onOutput) {
  const child = spawn('sh', ['-c', `${line} 2>&1`], {
    cwd: work,
    env: {
      ...process.env,
      PATH: `${prefix}/bin:${process.env.PATH}`,
      npm_config_prefix: prefix,
      npm_config_fund: 'false',
      npm_config_audit: 'false',
      npm_config_update_notifier: 'false',
      COLUMNS: String(width),
    },
  });
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (part) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop();
    for (const text of lines) onOutput(inPlace(text));
  });
  const code = await new Promise((done) => child.on('close', done));
  if (rest !== '') onOutput(inPlace(rest));
  return code;
}

/** The first and last lines, and how many are left out between. */
function abridged(lines, { head = lines.length, tail = 0 }) {
  const left = lines.length - head - tail;
  return left <= 1 ? lines : [...lines.slice(0, head), `… (${left} lines)`, ...lines.slice(lines.length - tail)];
}

const duration = (seconds) =>
  seconds < 60
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(seconds / 60)} min ${String(Math.round(seconds % 60)).padStart(2, '0')} s`;

try {
  for (const path of [work, prefix, join(work, 'photos')]) mkdirSync(path);
  copyFileSync(model, join(work, 'model.onnx'));
  symlinkSync(resolve(train), join(work, 'photos', 'train'));
  symlinkSync(resolve(val), join(work, 'photos', 'val'));
  const packed = spawnSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', work], {
    cwd: root,
    encoding: 'utf8',
  });
  if (packed.status !== 0) throw new Error(`npm pack: ${packed.stderr}`);

  const started = performance.now();
  const now = () => Number(((performance.now() - started) / 1000).toFixed(3));
  const events = [];
  const sections = [];
  for (const step of steps) {
    const begun = now();
    events.push([begun, 'o', `$ ${step.command}\r\n`]);
    process.stdout.write(`$ ${step.command}\n`);
    const lines = [];
    const code = await shell(step.command, (line) => {
      lines.push(line.trimEnd());
      events.push([now(), 'o', `${line}\r\n`]);
      process.stdout.write(`${line}\n`);
    });
    if (code !== 0) throw new Error(`exit code ${code}: ${step.command}`);
    const shown = abridged(lines, step).join('\n').trim();
    sections.push(
      `## ${step.title}\n\n${step.about}\n\n\`\`\`\n$ ${step.command}\n${shown}\n\`\`\`\n\n*${duration(now() - begun)}*\n`,
    );
  }
  const header = {
    version: 2,
    width,
    height: 40,
    title: 'lowrank: the first five minutes',
    idle_time_limit: 2,
    env: { SHELL: '/bin/sh', TERM: 'xterm-256color' },
  };
  const machine = `${cpus().length} cores (${cpus()[0].model.trim()}), ${platform()} ${arch()}, Node ${process.version}`;
  writeFileSync(
    join(root, 'docs/first-five-minutes.md'),
    `# The first five minutes

What \`scripts/record-first-minutes.js\` recorded on ${new Date().toISOString().slice(0, 10)}: real commands, one after the other, and what they printed; where it is long, \`… (n lines)\` stands for what was left out. ${subject} ${machine}; ${duration(now())} in all.
Whole, and as it ran: \`asciinema play first-five-minutes.cast\`, [the same as a file](first-five-minutes.cast). What to type in your own case: [recipes](recipes.md).

${sections.join('\n')}`,
  );
  writeFileSync(
    join(root, 'docs/first-five-minutes.cast'),
    `${[header, ...events].map((line) => JSON.stringify(line)).join('\n')}\n`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
