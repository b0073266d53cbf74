import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../src/cli/parse.js';
import { flagOf, kebabCase } from '../../src/cli/options.js';
import { COMMANDS } from '../../src/cli/lowrank.js';
import { run as runCommand } from '../support/command.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const lowrank = join(root, 'bin/lowrank.js');
const frame = join(root, 'test/cli/support/frame-program.js');
if (!existsSync(join(root, 'dist/src/cli/lowrank.js'))) throw new Error('run `npm run build` first: bin/ calls dist/');

const folder = mkdtempSync(join(tmpdir(), 'lowrank-cli-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, words: readonly string[], environment: NodeJS.ProcessEnv = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], {
    encoding: 'utf8',
    env: { ...process.env, LOWRANK_DEBUG: '', ...environment },
    maxBuffer: 1e8,
  });
  return { code: status, stdout, stderr };
}

function configFile(text: string): string {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, text);
  return path;
}

/** One error line and nothing else, but what `before` says. */
function expectError(outcome: Outcome, exitCode: number, line: RegExp): void {
  expect(outcome.stderr).toMatch(line);
  expect(outcome.stderr.match(/^error\[/gm)).toHaveLength(1);
  expect(outcome.stderr.split('\n').at(-1)).toBe('');
  expect(outcome.stderr).not.toMatch(/^\s+at /m);
  expect(outcome.stdout).toBe('');
  expect(outcome.code).toBe(exitCode);
}

/** The line on stderr, and the document of the same failure alone on stdout. */
function expectFailureDocument(outcome: Outcome, exitCode: number, error: Readonly<Record<string, unknown>>): void {
  const { tool, ...document } = JSON.parse(outcome.stdout) as Readonly<Record<string, unknown>>;
  expect(document).toEqual({ schema: 'lowrank.error/1', error, exitCode });
  expect(tool).toMatchObject({ name: 'lowrank' });
  const line = new RegExp(`^error\\[${String(error['code'])}\\]: `);
  expectError({ ...outcome, stdout: '' }, exitCode, line);
  expect(outcome.stderr.replace(line, '').trimEnd()).toBe(error['message']);
}

describe('lowrank', () => {
  it('shows all commands with their summaries', () => {
    const { code, stdout, stderr } = run(lowrank, ['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const [name, { summary }] of Object.entries(COMMANDS)) {
      expect(stdout).toContain(`  ${name}`);
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain(summary);
    }
  });

  it.each(Object.entries(COMMANDS))(
    '%s: the registry has its name and summary, bin/ its launcher',
    async (name, entry) => {
      const { command } = await entry.load();
      expect(command.name).toBe(name);
      expect(command.summary).toBe(entry.summary);
      expect(command.examples.length).toBeGreaterThan(0);
      const launcher = join(root, 'bin', `lowrank-${name}.js`);
      const lines = readFileSync(launcher, 'utf8').trimEnd().split('\n');
      expect(lines).toEqual([
        '#!/usr/bin/env node',
        "import { main } from '../dist/src/cli/lowrank.js';",
        `await main('${name}', process.argv);`,
      ]);
      const alone = run(launcher, ['--help']);
      const together = runCommand(name, '--help');
      expect(alone.stderr + together.stderr).toBe('');
      expect(alone.stdout).toContain('Examples:');
      const sameName = (text: string): string => text.replaceAll(`lowrank-${name}`, `lowrank ${name}`);
      expect(sameName(alone.stdout)).toBe(sameName(together.stdout));
      expect(runCommand('help', name).stdout).toBe(together.stdout);
    },
  );

  it.each(Object.entries(COMMANDS))('%s: --help fits a screen, --help-all has every option', async (name, entry) => {
    const { command } = await entry.load();
    const short = parseCommandLine(command, `lowrank ${name}`, ['--help']);
    const whole = parseCommandLine(command, `lowrank ${name}`, ['m.onnx', '--help-all']);
    const textOf = (parsed: typeof short): string => (parsed.kind === 'show' ? parsed.text : '');
    expect(textOf(short).split('\n').length).toBeLessThan(50);
    const flags = Object.entries(command.options).map(([option, { type, default: usual }]) =>
      type === 'boolean' && usual === true ? `--no-${kebabCase(option)}` : flagOf(option),
    );
    for (const flag of flags) expect(textOf(whole)).toMatch(new RegExp(`${flag}[ ,\n]`));
    for (const { command: line } of command.examples) expect(textOf(whole)).toContain(line);
    expect(textOf(short).includes('--help-all')).toBe(command.usual !== undefined);
  });

  it.each(Object.entries(COMMANDS))('%s: every description says what is given', async (_, entry) => {
    const { command } = await entry.load();
    const texts = [...Object.values(command.options), ...Object.values(command.arguments)].map(
      ({ description }) => description,
    );
    for (const text of texts) expect(text).not.toMatch(/^(?:of|default|before|in|for)\b|^$|\.$/);
    // Names keep their capitals: ImageNet, ResNet-18, JSON.
    for (const { description } of command.examples) expect(description).not.toMatch(/^[A-Z][a-z]+\b|\.$/);
  });

  it('shows what to type first, and where recipes are: a command line each that parses', async () => {
    const { stdout } = run(lowrank, ['--help']);
    const [, steps = ''] = /\nFirst steps:\n([^]*?)\n\n/.exec(stdout)!;
    const lines = steps.split('\n').map((line) => line.trim().split(' '));
    expect(lines.map(([, name]) => name)).toEqual(['convert', 'eval', 'train']);
    for (const [, name, ...words] of lines) {
      const { command } = await COMMANDS[name!]!.load();
      expect(parseCommandLine(command, `lowrank ${name}`, words).kind).toBe('run');
    }
    const [, path] = /What to type in your case: (\S+\.md)/.exec(stdout)!;
    expect(existsSync(join(root, path!))).toBe(true);
    expect(stdout.split('\n').length).toBeLessThan(50);
  });

  it('has a launcher in package.json for each file in bin/', () => {
    const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { bin: Record<string, string> };
    const files = readdirSync(join(root, 'bin')).map((file) => `bin/${file}`);
    expect(Object.values(bin).toSorted()).toEqual(files.toSorted());
  });

  it('shows its version', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(run(lowrank, ['--version'])).toEqual({ code: 0, stdout: `lowrank ${version}\n`, stderr: '' });
    expect(run(lowrank, ['doctor', '-V']).stdout).toBe(`lowrank ${version}\n`);
  });

  it.each([
    [[], /^error\[USAGE\]: no command is given; /],
    [['docto'], /^error\[USAGE\]: unknown command 'docto'; did you mean doctor\?\n/],
    [['__proto__'], /^error\[USAGE\]: unknown command '__proto__'; /],
    [['--versio'], /^error\[USAGE\]: unknown option '--versio'; did you mean --version\?\n/],
    [['doctor', '--jsn'], /^error\[USAGE\]: unknown option '--jsn'; did you mean --json\?\n/],
    [['doctor', 'extra'], /^error\[USAGE\]: too many arguments.*; see 'lowrank doctor --help'\n/],
  ])('%j is wrong usage: one line, exit code 2', (words, line) => {
    expectError(run(lowrank, words), 2, line);
  });

  it('prints exactly one JSON document with --json', () => {
    const { code, stdout } = run(lowrank, ['doctor', '--json']);
    const document = JSON.parse(stdout) as { schema: string; diagnoses: { name: string }[] };
    expect(document.schema).toBe('lowrank.doctor/1');
    expect(document.diagnoses.map(({ name }) => name)).toContain('onnxruntime');
    expect(code).toBe(0);
  });

  it('shows its help quickly: it loads no command, and no package but commander', () => {
    const coverage = join(folder, 'coverage');
    expect(run(lowrank, ['--help'], { NODE_V8_COVERAGE: coverage }).code).toBe(0);
    const [file] = readdirSync(coverage);
    const { result } = JSON.parse(readFileSync(join(coverage, file!), 'utf8')) as { result: { url: string }[] };
    const loaded = result.flatMap(({ url }) => (url.startsWith('file:') ? [relative(root, fileURLToPath(url))] : []));
    expect(loaded).toContain('dist/src/cli/lowrank.js');
    const others = loaded.filter((path) => !/^(?:bin|dist\/src(?:\/(?:cli|files|report))?)\/[\w-]+\.js$/.test(path));
    expect(others.filter((path) => !path.startsWith('node_modules/commander/'))).toEqual([]);
    for (const name of Object.keys(COMMANDS)) expect(loaded).not.toContain(`dist/src/cli/${name}.js`);
  });
});

describe('the frame of every command', () => {
  it('merges defaults, configuration file and flags, and gives the command line that repeats the run', () => {
    const config = configFile(
      'rank-scale: 0.5\nrankMultiple: 8\nscheme: spatial\ninclude: [a, "b c"]\nverify: false\n',
    );
    const { code, stdout, stderr } = run(frame, [
      ...['probe', 'in put.onnx', '--config', config, '--scheme', 'channel', '-o', 'out.onnx', '--json', '--quiet'],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const document = JSON.parse(stdout) as { commandLine: string };
    expect(document).toEqual({
      arguments: { model: 'in put.onnx' },
      settings: {
        rankScale: 0.5,
        rankMultiple: 8,
        scheme: 'channel',
        include: ['a', 'b c'],
        force: false,
        verify: false,
        output: 'out.onnx',
        fail: null,
      },
      commandLine:
        "lowrank probe 'in put.onnx' --rank-scale 0.5 --rank-multiple 8 --scheme channel --include a --include 'b c' --no-verify -o out.onnx",
    });
    // The shell reads it as it was meant.
    const shell = document.commandLine.replace('lowrank', '"$NODE" "$PROGRAM"');
    const again = spawnSync('sh', ['-c', `${shell} --json --quiet`], {
      encoding: 'utf8',
      env: { ...process.env, NODE: process.execPath, PROGRAM: frame },
    });
    expect(JSON.parse(again.stdout)).toEqual(document);
  });

  it.each([
    [['-f', '--include', 'x', '--include', 'y'], { force: true, include: ['x', 'y'], verify: true }],
    [['--no-verify', '--no-force'], { force: false, verify: false, include: [] }],
    [['--rank-scale', '1e-1'], { rankScale: 0.1 }],
  ])('reads %j', (words, settings) => {
    const { stdout } = run(frame, ['probe', 'a', '-o', 'b', '--json', ...words]);
    expect(JSON.parse(stdout)).toMatchObject({ settings });
  });

  it.each([
    [['--rank-scal', '1'], /unknown option '--rank-scal'; did you mean --rank-scale\?/],
    [['--rank-scale', 'abc'], /'abc' is not a number; option '--rank-scale'; give a number, at least 0, at most 1/],
    [['--rank-scale', ''], /'' is not a number/],
    [['--rank-scale', '1.5'], /'1.5' is out of range; option '--rank-scale'/],
    [['--rank-multiple', '2.5'], /'2.5' is not a whole number/],
    [['--scheme', 'spatal'], /'spatal' is not a choice; option '--scheme'; did you mean 'spatial'\?/],
    [['--rank-scale'], /option '--rank-scale <number>' argument missing/],
    [['c', 'd'], /too many arguments/],
  ])('refuses %j with exit code 2', (words, line) => {
    expectError(run(frame, ['probe', 'a', '-o', 'b', ...words]), 2, line);
  });

  it('asks for what is missing', () => {
    expectError(run(frame, ['probe', '-o', 'b']), 2, /^error\[USAGE\]: missing required argument 'model'; see /);
    expectError(run(frame, ['probe', 'a']), 2, /^error\[USAGE\]: option '--output' is missing; where to write\n/);
    const config = configFile('output: from-the-file.onnx');
    expect(run(frame, ['probe', 'a', '--config', config]).code).toBe(0);
  });

  it.each([
    ['rank-scal: 0.5', /unknown key 'rank-scal'; in .*\.yaml; did you mean 'rank-scale'\?/],
    ['zzz: 1', /unknown key 'zzz'; in .*; known keys: rank-scale, /],
    ['json: true', /unknown key 'json'/],
    ['__proto__: 1', /unknown key '__proto__'/],
    ['rank-scale: "0.5"', /"0.5" is not a number; key 'rank-scale' in /],
    ['rank-multiple: 0', /0 is out of range/],
    ['force: "yes"', /"yes" is not true or false/],
    ['include: [1]', /\[1\] is not a list of texts/],
    ['scheme: best', /'best' is not a choice/],
    ['rank-scale: 0.5\nrankScale: 0.4', /option 'rank-scale' is set twice/],
    ['force: true\nforce: false', /not valid YAML: DUPLICATE_KEY; in .*, line 2/],
    ['- a\n- b', /a configuration file is a mapping/],
    ['a: [1', /not valid YAML/],
  ])('refuses the configuration file %j', (text, line) => {
    expectError(run(frame, ['probe', 'a', '-o', 'b', '--config', configFile(text)]), 2, line);
  });

  it('takes an empty configuration file, and names one that is not there', () => {
    expect(run(frame, ['probe', 'a', '-o', 'b', '--config', configFile('# nothing\n')]).code).toBe(0);
    const missing = run(frame, ['probe', 'a', '-o', 'b', '--config', join(folder, 'none.yaml')]);
    expectError(missing, 1, /^error\[INPUT\]: the configuration file cannot be read: no such file.*none\.yaml/);
  });

  it('writes notes and warnings to stderr, one line each, and nothing with --quiet', () => {
    expect(run(frame, ['probe', 'a', '-o', 'b'])).toEqual({
      code: 0,
      stdout: 'text for people\n',
      stderr: 'a note\nwarning: a\\u{A}warning\n',
    });
    expect(run(frame, ['probe', 'a', '-o', 'b', '-q'])).toEqual({ code: 0, stdout: 'text for people\n', stderr: '' });
  });

  it('turns every exception into one line, and adds the stack only for debugging', () => {
    const words = ['probe', 'a', '-o', 'b', '--quiet', '--fail'];
    expectError(
      run(frame, [...words, 'plain']),
      1,
      /^error\[INTERNAL\]: first line second line; this is a defect; .*\n$/,
    );
    expectError(run(frame, [...words, 'type']), 1, /^error\[INTERNAL\]: TypeError: .*\n$/);
    expectError(run(frame, [...words, 'late']), 1, /^error\[INTERNAL\]: thrown later; .*\n$/);
    const debug = run(frame, [...words, 'plain'], { LOWRANK_DEBUG: '1' });
    expect(debug.stderr).toMatch(/^\s+at .*frame-program\.js/m);
    expect(debug.code).toBe(1);
  });

  it('prints no JSON that lies, and keeps the exit code of a command that found something', () => {
    const words = ['probe', 'a', '-o', 'b', '--quiet', '--fail'];
    expectFailureDocument(run(frame, [...words, 'nan', '--json']), 1, {
      ...{ code: 'NUMERIC', message: "the report holds NaN; field 'loss'" },
      ...{ fact: 'the report holds NaN', place: "field 'loss'", remedy: null },
    });
    expect(run(frame, [...words, 'found'])).toEqual({ code: 1, stdout: 'text\n', stderr: '' });
  });

  it('prints one document of every failure with --json', () => {
    const words = ['probe', 'a', '-o', 'b', '--quiet', '--json'];
    const wrong = { code: 'USAGE', place: null };
    expectFailureDocument(run(frame, [...words, '--rank-scal', '1']), 2, {
      ...{ ...wrong, message: "unknown option '--rank-scal'; did you mean --rank-scale?" },
      ...{ fact: "unknown option '--rank-scal'", remedy: 'did you mean --rank-scale?' },
    });
    expectFailureDocument(run(frame, ['--json', 'probe', '-o', 'b']), 2, {
      ...{ ...wrong, message: "unknown option '--json'; see 'lowrank --help'" },
      ...{ fact: "unknown option '--json'", remedy: "see 'lowrank --help'" },
    });
    const missing = "missing required argument 'model'";
    const remedy = "see 'lowrank probe --help'";
    expectFailureDocument(run(frame, ['probe', '-o', 'b', '--json']), 2, {
      ...{ ...wrong, message: `${missing}; ${remedy}`, fact: missing, remedy },
    });
    for (const way of ['plain', 'late']) {
      const fact = way === 'plain' ? 'first line\nsecond line' : 'thrown later';
      const defect = 'this is a defect; report it with what LOWRANK_DEBUG=1 prints';
      const line = fact.replace('\n', ' ');
      expectFailureDocument(run(frame, [...words, '--fail', way]), 1, {
        ...{ code: 'INTERNAL', message: `${line}; ${defect}`, fact: line, place: null, remedy: defect },
      });
    }
    const none = join(folder, 'none.onnx');
    const failure = run(lowrank, ['inspect', none, '--json']);
    expectFailureDocument(failure, 1, {
      ...{ code: 'INPUT', message: `no such file; ${none}; check the path` },
      ...{ fact: 'no such file', place: none, remedy: 'check the path' },
    });
  });

  it('prints no document of a failure behind another one, nor what is only a value', () => {
    const outcome = run(frame, ['probe', 'a', '-o', 'b', '--quiet', '--json', '--fail', 'afterwards']);
    expect((JSON.parse(outcome.stdout) as { document: number }).document).toBe(1);
    expect(outcome.code).toBe(1);
    expectError(run(frame, ['probe', 'a', 'b', '-o', 'c', '--', '--json']), 2, /too many arguments/);
  });

  it('does not complain when its reader has seen enough', () => {
    const command = '"$NODE" "$PROGRAM" probe a -o b --quiet --fail long | head -n 1; echo "${PIPESTATUS[0]}"';
    const { stdout, stderr } = spawnSync('bash', ['-c', command], {
      encoding: 'utf8',
      env: { ...process.env, NODE: process.execPath, PROGRAM: frame },
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'line\n0\n', stderr: '' });
  });

  it('writes all of a long result into a pipe', () => {
    expect(run(frame, ['probe', 'a', '-o', 'b', '--quiet', '--fail', 'long']).stdout).toHaveLength(5_000_000);
  });

  it('says so when the output cannot be written', () => {
    if (!existsSync('/dev/full')) return;
    const { status, stderr } = spawnSync('bash', ['-c', '"$NODE" "$PROGRAM" probe a -o b --quiet >/dev/full'], {
      encoding: 'utf8',
      env: { ...process.env, NODE: process.execPath, PROGRAM: frame },
    });
    expect(stderr).toMatch(/^error\[OUTPUT\]: the output cannot be written: ENOSPC.*\n$/);
    expect(status).toBe(1);
  });
});

/** util-linux' `script` runs a command on a terminal of its own. */
const hasScript = String(spawnSync('script', ['--version']).stdout).includes('util-linux');

describe.skipIf(!hasScript)('on a terminal', () => {
  function onTerminal(words: string, environment: NodeJS.ProcessEnv = {}): string {
    const { stdout } = spawnSync('script', ['-qec', `stty cols 60; "$NODE" "$PROGRAM" ${words}`, '/dev/null'], {
      encoding: 'utf8',
      env: { ...process.env, NODE: process.execPath, PROGRAM: frame, TERM: 'xterm', NO_COLOR: '', ...environment },
    });
    return stdout;
  }
  const clear = '\r\u001B[K';
  const bar = `${clear}probing [############------------] 1/2`;

  it('removes the progress line before it writes an error, in colour', () => {
    const screen = onTerminal('probe a -o b --fail plain');
    expect(screen).toContain(`${bar}${clear}\u001B[31merror[INTERNAL]:\u001B[39m first line`);
  });

  it('honours NO_COLOR', () => {
    expect(onTerminal('probe a -o b --fail plain', { NO_COLOR: '1' })).toContain(
      `${bar}${clear}error[INTERNAL]: first`,
    );
  });

  it('removes it before the result and when interrupted too, and shows none with --quiet', () => {
    expect(onTerminal('probe a -o b')).toContain(`${bar}${clear}text for people`);
    expect(onTerminal('probe a -o b --quiet')).toBe('text for people\r\n');
  });
});

describe('interruption', () => {
  /** Starts `lowrank wait`, and sends the signals one after the other once it is ready. */
  function interrupt(
    words: readonly string[],
    signals: readonly NodeJS.Signals[],
  ): Promise<Outcome & { signal: string | null }> {
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [frame, 'wait', ...words]);
      let stdout = '';
      let stderr = '';
      let sent = 0;
      child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
      child.stderr.on('data', (text: Buffer) => {
        stderr += text.toString();
        // Each signal waits for what the one before it printed.
        if (sent < signals.length && stderr.includes(sent === 0 ? 'ready' : 'interrupted')) child.kill(signals[sent++]);
      });
      child.on('close', (code, signal) => {
        resolve({ code, signal, stdout, stderr });
      });
    });
  }

  it.each(['SIGINT', 'SIGTERM'] as const)('%s stops the command: one line, exit code 130', async (signal) => {
    const outcome = await interrupt([], [signal]);
    expect(outcome.code).toBe(130);
    expect(outcome.stdout).toBe('');
    expect(outcome.stderr).toBe(
      'ready\ninterrupted: stopping cleanly; once more to stop at once\nerror[ABORTED]: interrupted\n',
    );
  });

  it('the second one ends the process at once', async () => {
    const outcome = await interrupt(['--stubborn'], ['SIGINT', 'SIGINT']);
    expect(outcome).toMatchObject({ code: 130, signal: null, stdout: '' });
    expect(outcome.stderr).not.toContain('error');
  });

  it('prints its document with --json, also where the process is ended at once', async () => {
    for (const signals of [['SIGINT'], ['SIGINT', 'SIGINT']] as const) {
      const { code, stdout } = await interrupt(['--json', ...(signals.length > 1 ? ['--stubborn'] : [])], signals);
      expect(code).toBe(130);
      expect(JSON.parse(stdout)).toMatchObject({
        schema: 'lowrank.error/1',
        error: { code: 'ABORTED' },
        exitCode: 130,
      });
    }
  });
});
