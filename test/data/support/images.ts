import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll } from 'vitest';
import type { Pixels } from '../../../src/data/pixels.js';

/** A folder that is removed when the tests of the file are over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-data-'));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** A picture that every language computes alike: red (7x + 3y) mod 256, green (x · y) mod 256, blue ((x xor y) · 5) mod 256. */
export function pattern(width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      data[at] = 7 * x + 3 * y;
      data[at + 1] = x * y;
      data[at + 2] = (x ^ y) * 5;
    }
  }
  return { data, width, height };
}

/** A smooth picture of one colour's shades, so that JPEG changes it little. */
export function shade(width: number, height: number, red: number, green: number, blue: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const light = 0.5 + (0.25 * x) / width + (0.25 * y) / height;
      data.set([red * light, green * light, blue * light], at);
    }
  }
  return { data, width, height };
}

export function encoder({ data, width, height }: Pixels): ReturnType<typeof sharp> {
  return sharp(Buffer.from(data), { raw: { width, height, channels: 3 } });
}

export async function jpeg(pixels: Pixels, quality = 90): Promise<Buffer> {
  return encoder(pixels).jpeg({ quality }).toBuffer();
}

/** Writes files, making their folders. */
export function writeTree(root: string, files: Readonly<Record<string, Uint8Array | string>>): string {
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return root;
}

/** A small data set of `perClass` JPEGs in each class folder, all different. */
export async function writeClasses(root: string, classes: readonly string[], perClass: number): Promise<string> {
  const files: Record<string, Uint8Array> = {};
  for (const [label, name] of classes.entries()) {
    for (let index = 0; index < perClass; index++) {
      const picture = shade(40 + index, 32 + label, 60 + 19 * label, 250 - 7 * index, 40 + 11 * index);
      files[`${name}/${String(index).padStart(3, '0')}.jpg`] = await jpeg(picture);
    }
  }
  return writeTree(root, files);
}

export interface TestMember {
  readonly name: string;
  readonly data: Uint8Array | string;
  /** Default: '0', a regular file. */
  readonly type?: string;
  /** Of a link. */
  readonly target?: string;
}

/** One header and its padded data, written independently of the product's own tar writer. */
export function tarMember({ name, data, type = '0', target = '' }: TestMember): Buffer {
  const body = Buffer.from(data);
  const header = Buffer.alloc(512);
  header.write(name.slice(0, 100), 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('14000000000\0', 136);
  header.write(type, 156);
  header.write(target, 157);
  header.write('ustar\u000000', 257);
  return Buffer.concat([withChecksum(header), body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

export function withChecksum(header: Buffer): Buffer {
  header.fill(' ', 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

export function tarOf(members: readonly TestMember[]): Buffer {
  return Buffer.concat([...members.map(tarMember), Buffer.alloc(1024)]);
}
