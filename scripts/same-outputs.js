// Whether two checkouts do the same: runs the commands of same-outputs-cases.js with `bin/lowrank.js` of each, on real models and pictures, and
// compares exit codes, what is printed and every file that is written, byte for byte but for the times, rates, memory and versions that
// same-outputs-compare.js names; the page of a training, which draws its rates, is not written. On one machine and at equal threads all else is
// equal to the bit. Both are built before: npm run build.
//   node scripts/same-outputs.js A B [--cases 'train/*']
// A, B: folders of the checkouts. Models and pictures are those of $LOWRANK_SHARED (default: ../shared). One line a case: `same`, or `differs:`
// and the first difference with both values, A's first. Exit code 1 where one differs, or a command ends otherwise than it should; 2 for wrong usage.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cases } from './same-outputs-cases.js';
import { differences } from './same-outputs-compare.js';

function wrongUsage(fact) {
  process.stderr.write(`${fact}\nusage: node scripts/same-outputs.js CHECKOUT CHECKOUT [--cases GLOB]\n`);
  process.exit(2);
}

/** The two folders, and the cases that are asked for. */
function readArguments() {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { cases: { type: 'string', default: '*' } },
    });
    return { checkouts: positionals.map((path) => resolve(path)), glob: values.cases };
  } catch (error) {
    return wrongUsage(error.message);
  }
}

const { checkouts, glob } = readArguments();
if (checkouts.length !== 2) wrongUsage(`two checkouts are compared, not ${checkouts.length}`);
for (const checkout of checkouts) {
  if (!existsSync(join(checkout, 'bin/lowrank.js'))) wrongUsage(`no checkout: ${checkout} has no bin/lowrank.js`);
  if (!existsSync(join(checkout, 'dist/src'))) wrongUsage(`${checkout} is not built: run \`npm run build\` there`);
}
const shared = resolve(process.env.LOWRANK_SHARED ?? '../shared', 'data');
if (!existsSync(join(shared, 'models'))) wrongUsage(`no models in ${shared}: LOWRANK_SHARED is the folder above it`);
const parts = glob.split('*').map((part) => part.replace(/[^\w/]/g, String.raw`\$&`));
const chosen = cases.filter(({ name }) => new RegExp(`^${parts.join('.*')}$`).test(name));
if (chosen.length === 0)
  wrongUsage(`no case is named '${glob}'; there are: ${cases.map(({ name }) => name).join(', ')}`);

const folder = mkdtempSync(join(tmpdir(), 'lowrank-same-'));
const photos = join(folder, 'photos');
/** Both checkouts run in them, one after the other, so that paths are the same. */
const [work, scratch] = ['work', 'scratch'].map((name) => join(folder, name));

/** A few of CIFAR-10's pictures in class folders, as links. */
function linkPhotos() {
  for (const [part, from, count] of [
    ['train', 'train', 12],
    ['val', 'test', 8],
  ]) {
    const source = join(shared, 'images/cifar10', from);
    for (const name of readdirSync(source).sort()) {
      mkdirSync(join(photos, part, name), { recursive: true });
      for (const file of readdirSync(join(source, name)).sort().slice(0, count))
        symlinkSync(join(source, name, file), join(photos, part, name, file));
    }
  }
}

/** Every file below the folder, by its path there; what links lead to is not written here. */
function writtenFiles() {
  return readdirSync(work, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(work.length + 1))
    .sort();
}

/** Runs a case in an empty folder. Outputs by what they are; `failure`: the first command that ends otherwise than it should. */
function runCase({ files = {}, steps }, checkout) {
  for (const path of [work, scratch]) {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path);
  }
  symlinkSync(join(shared, 'models'), join(work, 'models'));
  symlinkSync(photos, join(work, 'photos'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), text);
  }
  const outputs = new Map();
  let failure;
  for (const [index, { line, code = 0 }] of steps.entries()) {
    const words = line.split(' ').filter((word) => word !== '');
    const outcome = spawnSync(process.execPath, [join(checkout, 'bin/lowrank.js'), ...words], {
      cwd: work,
      env: {
        ...process.env,
        LOWRANK_DEBUG: '',
        COLUMNS: '120',
        TMPDIR: scratch,
        XDG_CACHE_HOME: scratch,
      },
      maxBuffer: 1e9,
    });
    const place = `command ${index + 1} (${words.slice(0, 2).join(' ')})`;
    const stderr = outcome.stderr.toString().replaceAll(checkout, '<checkout>');
    outputs.set(`${place}, exit code`, Buffer.from(String(outcome.status)));
    outputs.set(`${place}, stderr`, Buffer.from(stderr));
    outputs.set(`${place}, stdout`, Buffer.from(outcome.stdout.toString().replaceAll(checkout, '<checkout>')));
    if (outcome.status !== code)
      failure ??= `${place} ends with ${outcome.status}, not ${code}: ${stderr.trim().split('\n').at(-1)}`;
  }
  for (const path of writtenFiles()) outputs.set(path, readFileSync(join(work, path)));
  return { outputs, failure };
}

/** Runs a case in both. `verdict`: `same`, or what is not as it should be; `compared`: outputs, exit codes and streams among them. */
function compareCase(one) {
  const [a, b] = checkouts.map((checkout) => runCase(one, checkout));
  const found = differences(a.outputs, b.outputs);
  const compared = a.outputs.size;
  if (found.length > 0)
    return { verdict: `differs: ${found[0]}${found.length > 1 ? ` (and ${found.length - 1} more)` : ''}`, compared };
  return { verdict: a.failure === undefined ? 'same' : `fails in both: ${a.failure}`, compared };
}

try {
  linkPhotos();
  const versions = checkouts.map(
    (checkout) => JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')).version,
  );
  if (versions[0] !== versions[1])
    process.stdout.write(`versions ${versions.join(' and ')}: the graphs of \`artifacts\` hold them, and differ\n`);
  let [same, outputs] = [0, 0];
  for (const one of chosen) {
    const { verdict, compared } = compareCase(one);
    outputs += compared;
    if (verdict === 'same') same += 1;
    process.stdout.write(`${one.name}: ${verdict}\n`);
  }
  process.stdout.write(`${same} of ${chosen.length} cases are the same, in ${outputs} outputs\n`);
  process.exitCode = same === chosen.length ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
