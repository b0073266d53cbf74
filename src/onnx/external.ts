import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { LowrankError } from '../errors.js';
import { type ByteSource, fileSource } from '../files/source.js';
import type { ExternalLocation, ExternalResolver } from './tensor.js';
import { shown } from './text.js';

/** Files open at a time: some exporters write one for each of thousands of tensors. */
const mostOpen = 64;

/**
 * External data files. A location must name a regular file inside the model's folder, also after following links: a
 * model must not be able to read other files of the machine.
 */
export class ExternalFiles {
  readonly #folder: string | undefined;
  readonly #model: string;
  readonly #sources = new Map<string, ByteSource>();
  /** Opened files, the least recently used first. */
  readonly #open = new Map<string, ByteSource>();
  #closed = false;

  /** `folder` is undefined for models given as bytes without one. */
  constructor(folder: string | undefined, model: string) {
    this.#folder = folder;
    this.#model = model;
  }

  /** Whether any tensor lies outside the model. */
  get isUsed(): boolean {
    return this.#sources.size > 0;
  }

  /** Real paths of the files that tensors lie in. */
  get paths(): readonly string[] {
    return [...new Set([...this.#sources.values()].map(({ label }) => label))];
  }

  /** Throws EXTERNAL_DATA where the location is missing, escapes the folder, or is too short. */
  readonly resolve: ExternalResolver = (record, tensorName): ExternalLocation => {
    const place = `${this.#model}, tensor '${shown(tensorName)}'`;
    const location = record.get('location') ?? '';
    const offset = wholeNumber(record.get('offset') ?? '0');
    const length = wholeNumber(record.get('length') ?? '0');
    if (location === '' || offset === undefined || length === undefined) {
      throw new LowrankError('EXTERNAL_DATA', 'external data record without a usable location, offset or length', {
        place,
        remedy: 'export the model again',
      });
    }
    let source = this.#sources.get(location);
    if (source === undefined) {
      source = this.#sourceOf(this.#locate(location, place), location, place);
      this.#sources.set(location, source);
    }
    if (offset + length > source.size) {
      throw new LowrankError(
        'EXTERNAL_DATA',
        `external data '${shown(location)}' has ${source.size} bytes where ${offset + length} are needed`,
        { place, remedy: 'fetch the data file again' },
      );
    }
    return { location, range: { source, start: offset, end: offset + length } };
  };

  /** The real path of a location. */
  #locate(location: string, place: string): string {
    if (this.#folder === undefined) {
      throw new LowrankError('EXTERNAL_DATA', `external data '${shown(location)}' of a model given as bytes`, {
        place,
        remedy: 'give the path of the model instead',
      });
    }
    const escapes = (path: string): boolean => path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path);
    const refusal = new LowrankError(
      'EXTERNAL_DATA',
      `external data '${shown(location)}' lies outside the model's folder`,
      {
        place,
        remedy: 'copy the data file into that folder, without links, and export again',
      },
    );
    // Both separators: a model written on Windows must not escape on POSIX, nor the other way round.
    if (isAbsolute(location) || /^[a-zA-Z]:|^[\\/]/.test(location) || location.split(/[\\/]/).includes('..')) {
      throw refusal;
    }
    const path = join(this.#folder, location);
    let real: string;
    try {
      real = realpathSync(path);
    } catch (error) {
      const isLoop = (error as NodeJS.ErrnoException).code === 'ELOOP';
      const fact = isLoop ? 'is a symbolic link that leads in a circle' : 'is missing';
      throw new LowrankError('EXTERNAL_DATA', `external data file '${shown(location)}' ${fact}`, {
        place,
        remedy: `put it into ${this.#folder === '.' ? 'the folder of the model' : this.#folder}`,
      });
    }
    if (escapes(relative(realpathSync(this.#folder), real))) throw refusal;
    if (!statSync(real).isFile()) {
      throw new LowrankError('EXTERNAL_DATA', `external data '${shown(location)}' is not a regular file`, {
        place,
        remedy: 'copy the data into a file',
      });
    }
    return real;
  }

  /** Opens the file when it is read, and again where it was closed to make room for others. */
  #sourceOf(path: string, location: string, place: string): ByteSource {
    const { size } = this.#opened(path, location, place);
    const opened = (): ByteSource => {
      const source = this.#opened(path, location, place);
      if (source.size === size) return source;
      throw new LowrankError('EXTERNAL_DATA', `external data '${shown(location)}' changed while it was in use`, {
        place,
        remedy: 'run again',
      });
    };
    return {
      size,
      label: path,
      read: (start, end) => opened().read(start, end),
      readInto: (target, start) => {
        opened().readInto(target, start);
      },
      close: () => undefined,
    };
  }

  #opened(path: string, location: string, place: string): ByteSource {
    if (this.#closed) throw new LowrankError('INTERNAL', 'read after close', { place });
    let source = this.#open.get(path);
    if (source === undefined) {
      try {
        source = fileSource(path);
      } catch (error) {
        if (!(error instanceof LowrankError)) throw error;
        throw new LowrankError('EXTERNAL_DATA', `external data '${shown(location)}': ${error.fact}`, {
          place,
          ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
          cause: error,
        });
      }
    }
    this.#open.delete(path);
    this.#open.set(path, source);
    for (const [oldest, old] of this.#open) {
      if (this.#open.size <= mostOpen) break;
      old.close();
      this.#open.delete(oldest);
    }
    return source;
  }

  close(): void {
    this.#closed = true;
    for (const source of this.#open.values()) source.close();
    this.#open.clear();
  }
}

function wholeNumber(text: string): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}
