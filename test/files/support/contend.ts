import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** `root` is that of the project: Node runs no TypeScript, but the built file. */
const scriptOf = (built: string): string => `
  import { takeLock } from ${JSON.stringify(pathToFileURL(built).href)};
  let lock;
  process.on('message', ({ path, at }) => {
    if (path === null) {
      lock?.release();
      lock = undefined;
      process.send('released');
      return;
    }
    // All begin at the same moment, as far as the machine can.
    while (Date.now() < at);
    try {
      lock = takeLock(path);
      process.send('won');
    } catch (error) {
      process.send(error.code === 'OUTPUT' ? 'lost' : String(error));
    }
  });
  process.send('ready');
`;

/**
 * Lets processes try for a lock at once, in turn free, left by a dead process, and left by one that died as it took over. How
 * many got it in each round, and what lay beside the lock in the end.
 */
export async function contend(
  path: string,
  contenders: number,
  rounds: number,
  root: string,
): Promise<{ readonly winners: readonly number[]; readonly left: readonly string[] }> {
  const built = join(root, 'dist/src/files/lock.js');
  if (!existsSync(built)) throw new Error('run `npm run build` first');
  const file = `${path}.contender.mjs`;
  writeFileSync(file, scriptOf(built));
  const children = Array.from({ length: contenders }, () => fork(file, { execArgv: [] }));
  const answers = (): Promise<readonly string[]> =>
    Promise.all(children.map(async (child) => ((await once(child, 'message')) as [string])[0]));
  const ask = (message: object): Promise<readonly string[]> => {
    const answered = answers();
    for (const child of children) child.send(message);
    return answered;
  };
  try {
    await answers();
    const winners: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const dead = { process: 2 ** 30, host: hostname(), start: '00000000' };
      const token = round.toString(16).padStart(16, '0');
      if (round % 3 === 1) writeFileSync(path, JSON.stringify(round % 2 === 0 ? dead : { ...dead, token }));
      if (round % 3 === 2) {
        writeFileSync(path, JSON.stringify({ ...dead, token }));
        writeFileSync(`${path}.${token}`, JSON.stringify(dead));
      }
      const outcomes = await ask({ path, at: Date.now() + 4 });
      const odd = outcomes.find((outcome) => outcome !== 'won' && outcome !== 'lost');
      if (odd !== undefined) throw new Error(odd);
      winners.push(outcomes.filter((outcome) => outcome === 'won').length);
      await ask({ path: null });
    }
    rmSync(file);
    return { winners, left: readdirSync(dirname(path)).filter((name) => name.includes(basename(path))) };
  } finally {
    for (const child of children) child.kill();
  }
}
