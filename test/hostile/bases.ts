import { parquetWriteBuffer } from 'hyparquet-writer';
import { bmp } from '../data/support/bmp.js';
import { encoder, jpeg, pattern, tarOf } from '../data/support/images.js';
import { encodeSafetensors } from '../../src/train/safetensors.js';
import type { Reader } from './corpus.js';

/** A good file, to be damaged. */
export interface Base {
  readonly reader: Reader;
  readonly name: string;
  readonly bytes: Buffer;
}

/** One small file of every kind that is read beside models. */
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
  return files.map(([reader, name, bytes]) => ({ reader, name, bytes: Buffer.from(bytes) }));
}
