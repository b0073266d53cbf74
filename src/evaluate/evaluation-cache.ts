import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { LowrankError, messageOf } from '../errors.js';
import { readRegularText } from '../files/regular.js';
import { readModel } from '../graph/read.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import { checkWritable, writeFileWhole } from '../files/write-file.js';

/** What a model said about labelled images: as much as a paired comparison needs. */
export interface Evaluation {
  readonly labels: readonly number[];
  /** The class of the largest output. */
  readonly predicted: readonly number[];
  /** Mean cross-entropy in nats. */
  readonly loss: number;
}

/** Everything that the result of an evaluation depends on; values of JSON. */
export type EvaluationKey = Readonly<Record<string, unknown>>;

export interface EvaluationCache {
  readonly folder: string;
  /** The evaluation, from the folder where it is there and whole, else made by `evaluate` and put there. */
  get(
    key: EvaluationKey,
    evaluate: () => Promise<Evaluation>,
  ): Promise<{ readonly evaluation: Evaluation; readonly isCached: boolean }>;
}

const schema = 'lowrank.evaluation/1';

/** The user's cache folder: $XDG_CACHE_HOME, else ~/.cache; ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows. */
export function defaultEvaluationFolder(): string {
  const { XDG_CACHE_HOME: xdg = '', LOCALAPPDATA: local = '' } = process.env;
  const home = homedir();
  const usual = process.platform === 'darwin' ? join(home, 'Library', 'Caches') : join(home, '.cache');
  const base = process.platform === 'win32' && local !== '' ? local : xdg !== '' ? xdg : usual;
  return join(base, 'lowrank', 'evaluations');
}

/**
 * Evaluations as files, named by the SHA-256 of their keys. Each appears whole or not at all, so that what was finished
 * before a kill is there; a file whose checksum is wrong is reported to `warn` and made anew. Throws OUTPUT where the folder
 * cannot be made or written to.
 */
export function openEvaluationCache(folder: string, warn: (line: string) => void): EvaluationCache {
  try {
    makeFolder(folder);
    checkWritable(join(folder, 'evaluation.json'), true);
  } catch (error) {
    const fact = error instanceof LowrankError ? error.fact : messageOf(error);
    throw new LowrankError('OUTPUT', `the cache of evaluations cannot be written: ${fact}`, {
      place: folder,
      remedy: 'choose another folder with --cache',
      cause: error,
    });
  }
  return {
    folder,
    get: async (key, evaluate) => {
      const path = join(folder, `${sha256(JSON.stringify(key))}.json`);
      const found = read(path, key, warn);
      if (found !== undefined) return { evaluation: found, isCached: true };
      const evaluation = await evaluate();
      const body = { key, evaluation };
      const document = { schema, sha256: sha256(JSON.stringify(body)), ...body };
      writeFileWhole(path, `${JSON.stringify(document)}\n`);
      return { evaluation, isCached: false };
    },
  };
}

function read(path: string, key: EvaluationKey, warn: (line: string) => void): Evaluation | undefined {
  let text: string;
  try {
    if (!existsSync(path)) return undefined;
    text = readRegularText(path);
  } catch (error) {
    const fact = error instanceof LowrankError ? error.fact : messageOf(error);
    warn(`the cached evaluation ${path} cannot be read (${fact}): evaluated again`);
    return undefined;
  }
  try {
    const document = JSON.parse(text) as {
      readonly schema?: unknown;
      readonly sha256?: unknown;
      readonly key?: unknown;
      readonly evaluation: Evaluation;
    };
    const { evaluation } = document;
    const isWhole =
      document.schema === schema &&
      document.sha256 === sha256(JSON.stringify({ key: document.key, evaluation })) &&
      JSON.stringify(document.key) === JSON.stringify(key);
    if (isWhole) return evaluation;
  } catch {
    // Cut off or overwritten: no JSON.
  }
  warn(`the cached evaluation ${path} is damaged: evaluated again`);
  return undefined;
}

/** SHA-256 of all bytes of a model, its external data included. Throws what `readModel` does. */
export function modelDigest(path: string): string {
  const model = readModel(path);
  try {
    const files = new Set<string>();
    for (const { tensor } of model.graph.initializers) {
      if (tensor?.external !== undefined) files.add(tensor.external.range.source.label);
    }
    const own = drain(fileSha256(path));
    if (files.size === 0) return own;
    return sha256([own, ...[...files].map((file) => drain(fileSha256(file)))].join(' '));
  } finally {
    model.file?.close();
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
