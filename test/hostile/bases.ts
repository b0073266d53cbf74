import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { gzipSync } from 'node:zlib';
import { bmp } from '../data/support/bmp.js';
import { idxFile } from '../data/support/idx.js';
import { encoder, jpeg, pattern, tarOf } from '../data/support/images.js';
import { takeLock } from '../../src/files/lock.js';
import { openCheckpoints } from '../../src/training/checkpoint.js';
import { encodeSafetensors } from '../../src/files/safetensors.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import type { Reader } from './corpus.js';

/** A good file, to be damaged. */
export interface Base {
  readonly reader: Reader;
  readonly name: string;
  readonly bytes: Buffer;
}

/** One small file of every kind that is read. */
export async function bases(): Promise<readonly Base[]> {
  const image = encoder(pattern(24, 17));
  const photo = await jpeg(pattern(24, 17));
  const column = (codec: 'SNAPPY' | 'UNCOMPRESSED'): Buffer =>
    Buffer.from(
      parquetWriteBuffer({
        columnData: [
          { name: 'image', data: [0, 1, 2, 3].map((index) => new Uint8Array(photo.subarray(index))) },
          { name: 'label', data: [0n, 1n, 2n, 1n], type: 'INT64' },
        ],
        codec,
        rowGroupSize: 3,
      }),
    );
  const files: readonly (readonly [Reader, string, Uint8Array])[] = [
    ['image', 'a.jpg', photo],
    ['image', 'a.png', await image.png().toBuffer()],
    ['image', 'a.gif', await image.gif().toBuffer()],
    ['image', 'a.webp', await image.webp().toBuffer()],
    ['image', 'a.tif', await image.tiff({ compression: 'lzw' }).toBuffer()],
    ['image', 'a.avif', await image.avif({ effort: 0 }).toBuffer()],
    ['image', 'a.bmp', bmp({ width: 9, height: 5, bits: 24, data: pattern(9, 5).data })],
    ['image', 'a.ppm', Buffer.concat([Buffer.from('P6 9 5 255 '), pattern(9, 5).data])],
    ['image', 'a.pgm', Buffer.from('P2 3 2 9 1 2 3 #x\n 4 5 6')],
    [
      'tar',
      'a.tar',
      tarOf([
        { name: 'x', type: 'x', data: '14 path=a.jpg\n' },
        { name: 'b.jpg', data: photo },
        { name: 'a.cls', data: '1' },
      ]),
    ],
    ['idx', 'a.idx', idxFile([3, 2, 3], Array(18).fill(7))],
    ['idx', 'a.gz', gzipSync(idxFile([3, 2, 3], Array(18).fill(7)))],
    ['parquet', 'a.parquet', column('UNCOMPRESSED')],
    ['parquet', 'b.parquet', column('SNAPPY')],
    [
      'study',
      'a.yaml',
      Buffer.from('architectures: &a [resnet8_cifar]\nseeds: 2\ntrain:\n  epochs: 1\n  lr: 0.1\ndata: x\n'),
    ],
    [
      'safetensors',
      'a.safetensors',
      encodeSafetensors(new Map([['w', { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }]]), { step: '1' }),
    ],
  ];
  const made = madeFiles();
  return [...files, ...made].map(([reader, name, bytes]) => ({ reader, name, bytes: Buffer.from(bytes) }));
}

/** What commands write for themselves, as they write it. */
function madeFiles(): readonly (readonly [Reader, string, Uint8Array])[] {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-bases-'));
  try {
    const running = { images: 1, loss: 0.1, correct: 1, gradientNorm: 1, steps: 1, seconds: 0.5, waitSeconds: 0 };
    const none = new Float32Array(0);
    openCheckpoints(join(folder, 'checkpoints'), 2).write(
      { parameters: Float32Array.of(1), statistics: none, state: none, ema: none },
      { step: 1, epoch: 0, batch: 1, running, epochs: [] },
      { model: 'hash', settings: { lr: 0.1 } },
      (model) => writeFileSync(model, 'model'),
    );
    const lock = takeLock(join(folder, 'a.lock'));
    const held = readFileSync(join(folder, 'a.lock'));
    lock.release();
    return [
      ['model', 'a.onnx', tinyClassifier()],
      ['checkpoint', 'state.json', readFileSync(join(folder, 'checkpoints', 'step-000000001', 'state.json'))],
      ['lock', 'a.lock', held],
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
