import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { LowrankError } from '../errors.js';
import { type ByteSource, fileSource } from './source.js';
import type { ExternalLocation, ExternalResolver } from './tensor.js';

/**
 * Opens external data files, each once. A location must name a regular file inside the model's folder, also after
 * following links: a model must not be able to read other files of the machine.
 */
export class ExternalFiles {
  readonly #folder: string | undefined;
  readonly #model: string;
  readonly #sources = new Map<string, ByteSource>();

  /** `folder` is undefined for models given as bytes without one. */
  constructor(folder: string | undefined, model: string) {
    this.#folder = folder;
    this.#model = model;
  }

  /** Throws EXTERNAL_DATA where the location is missing, escapes the folder, or is too short. */
  readonly resolve: ExternalResolver = (record, tensorName): ExternalLocation => {
    const place = `${this.#model}, tensor '${tensorName}'`;
    const location = record.get('location') ?? '';
    const offset = wholeNumber(record.get('offset') ?? '0');
    const length = wholeNumber(record.get('length') ?? '0');
    if (location === '' || offset === undefined || length === undefined) {
      throw new LowrankError('EXTERNAL_DATA', 'external data record without a usable location, offset or length', {
        place,
        remedy: 'export the model again',
      });
    }
    const source = this.#open(location, place);
    if (offset + length > source.size) {
      throw new LowrankError(
        'EXTERNAL_DATA',
        `external data '${location}' has ${source.size} bytes where ${offset + length} are needed`,
        { place, remedy: 'fetch the data file again' },
      );
    }
    return { location, range: { source, start: offset, end: offset + length } };
  };

  #open(location: string, place: string): ByteSource {
    const known = this.#sources.get(location);
    if (known !== undefined) return known;
    if (this.#folder === undefined) {
      throw new LowrankError('EXTERNAL_DATA', `external data '${location}' of a model given as bytes`, {
        place,
        remedy: 'give the path of the model instead',
      });
    }
    const escapes = (path: string): boolean => path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path);
    const refusal = new LowrankError('EXTERNAL_DATA', `external data '${location}' lies outside the model's folder`, {
      place,
      remedy: 'copy the data file beside the model and export again',
    });
    // Both separators: a model written on Windows must not escape on POSIX, nor the other way round.
    if (isAbsolute(location) || /^[a-zA-Z]:/.test(location) || location.split(/[\\/]/).includes('..')) throw refusal;
    const path = join(this.#folder, location);
    let real: string;
    try {
      real = realpathSync(path);
    } catch {
      throw new LowrankError('EXTERNAL_DATA', `external data file '${location}' is missing`, {
        place,
        remedy: `put it into ${this.#folder}`,
      });
    }
    if (escapes(relative(realpathSync(this.#folder), real))) throw refusal;
    if (!statSync(real).isFile()) {
      throw new LowrankError('EXTERNAL_DATA', `external data '${location}' is not a regular file`, { place });
    }
    const source = fileSource(real);
    this.#sources.set(location, source);
    return source;
  }

  close(): void {
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
  }
}

function wholeNumber(text: string): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}
