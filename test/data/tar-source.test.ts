import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { plainClasses } from '../../src/data/class-list.js';
import { openSource } from '../../src/data/open.js';
import type { ImageSource } from '../../src/data/types.js';
import { failureOf } from '../support/errors.js';
import { tarMember, tarOf, temporaryFolder, withChecksum, writeTree } from './support/images.js';

const folder = temporaryFolder();

function write(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

/** Name, label and bytes as text of every image. */
async function contents(source: ImageSource): Promise<[string, number, string][]> {
  const found: [string, number, string][] = [];
  for (let index = 0; index < source.length; index++) {
    const sample = await source.read(index);
    if (!('bytes' in sample)) throw new Error('pixels');
    found.push([sample.name, sample.label, Buffer.from(sample.bytes).toString()]);
  }
  await source.close();
  return found;
}

// scipy.io.savemat of four synsets, compressed: 1 n02119789, 2 n02100735, 3 n01440764, 4 n00001740 (an inner node).
const metaMat = Buffer.from(
  'TUFUTEFCIDUuMCBNQVQtZmlsZSBQbGF0Zm9ybTogcG9zaXgsIENyZWF0ZWQgb246IFNhdCBOb3YgMjEgMTI6MTI6MjYgMjAyNgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSU0PAAAA+wAAAHicpVJNi8IwFHzV+tFL8Sf4E5Jard4WVg+CeFBYjwo2uy3rRmgi6r/3pUYNQVZMH0zaSZh5b0hCANj4AE38thE1uFZDczwCT6OFEGcumBR47kOo94eI6Wz5tfiMCI3W0zGs5rjc67gvUnFn/PC33mb5Li0Yh9KDwKN/YPX3DEA5n1f+K92HofOf6AJD19Gck4jSUTIc6f1Qz/+fT8vyUfw3l93v/clp/lvfd3W1irkJSXp9I/crn9DyUXzCf3a5yLr4CCQr3HK45q9Xyk/jmCSD2Mj/6t4blo/ikvFt5ji/a26/Um4smsTkjdxNy0dxxmUuz+7v9gIxoCyR',
  'base64',
);

describe('ILSVRC tars as downloaded', () => {
  it('reads the training tar of tars: classes sorted, whatever the order inside', async () => {
    const inner = (name: string, count: number): Buffer =>
      tarOf(Array.from({ length: count }, (_, index) => ({ name: `${name}_${index}.JPEG`, data: `${name} ${index}` })));
    const bytes = tarOf([
      { name: 'n02119789.tar', data: inner('n02119789', 2) },
      { name: 'n01440764.tar', data: inner('n01440764', 1) },
    ]);
    const source = await openSource(write('ILSVRC2012_img_train.tar', bytes));
    expect([source.format, source.classes]).toEqual(['tar-of-tars', ['n01440764', 'n02119789']]);
    expect(await contents(source)).toEqual([
      ['n02119789.tar/n02119789_0.JPEG', 1, 'n02119789 0'],
      ['n02119789.tar/n02119789_1.JPEG', 1, 'n02119789 1'],
      ['n01440764.tar/n01440764_0.JPEG', 0, 'n01440764 0'],
    ]);
  });

  const images = ['ILSVRC2012_val_00000003.JPEG', 'ILSVRC2012_val_00000001.JPEG', 'ILSVRC2012_val_00000002.JPEG'];
  const validation = tarOf(images.map((name) => ({ name, data: name })));
  const truth = '2\n3\n1\n';
  const expected = [2, 1, 0];
  const kit = (text: string): Buffer =>
    gzipSync(
      tarOf([
        { name: 'ILSVRC2012_devkit_t12/readme.txt', data: 'x' },
        { name: 'ILSVRC2012_devkit_t12/data/meta.mat', data: metaMat },
        { name: 'ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt', data: text },
      ]),
    );

  it('labels the validation tar by the development kit beside it, through its synset table', async () => {
    const tar = write('kit/ILSVRC2012_img_val.tar', validation);
    write('kit/ILSVRC2012_devkit_t12.tar.gz', kit(truth));
    const source = await openSource(tar);
    // Image 1 has number 2: n02100735, image 2 number 3: n01440764, image 3 number 1: n02119789.
    expect(source.classes).toEqual(['n01440764', 'n02100735', 'n02119789']);
    expect((await contents(source)).map(([, label]) => label)).toEqual(expected);
  });

  it('labels it by the unpacked kit, by Kaggle’s table, and by lines of names', async () => {
    const tar = write('plain/val.tar', validation);
    writeTree(join(folder, 'devkit/data'), { 'meta.mat': metaMat, 'ILSVRC2012_validation_ground_truth.txt': truth });
    writeTree(folder, {
      'kaggle.csv':
        'ImageId,PredictionString\nILSVRC2012_val_00000002,n01440764 85 1 499 272 \nILSVRC2012_val_00000001,n02100735 1 2 3 4 5 6 7 8\nILSVRC2012_val_00000003,n02119789 1 2 3 4\n',
      'caffe.txt': 'ILSVRC2012_val_00000001.JPEG 1\nILSVRC2012_val_00000002.JPEG 0\nILSVRC2012_val_00000003.JPEG 2\n',
    });
    const classes = plainClasses(['n01440764', 'n02100735', 'n02119789']);
    for (const groundTruth of ['devkit', 'kaggle.csv', 'caffe.txt']) {
      const source = await openSource(tar, { groundTruth: join(folder, groundTruth), classes });
      expect((await contents(source)).map(([, label]) => label)).toEqual(expected);
    }
  });

  it('refuses numbers that nothing explains, and labels that do not fit', async () => {
    const tar = write('bare/val.tar', validation);
    expect((await failureOf('INPUT', () => openSource(tar))).remedy).toContain('--ground-truth');
    writeTree(folder, { 'numbers.txt': truth, 'short.txt': '1\n2\n', 'large.txt': '0\n1\n7\n' });
    const open = (groundTruth: string, classes = plainClasses(['a', 'b', 'c'])): Promise<ImageSource> =>
      openSource(tar, { groundTruth: join(folder, groundTruth), classes });
    const unexplained = await failureOf('INPUT', () => openSource(tar, { groundTruth: join(folder, 'numbers.txt') }));
    expect(unexplained.remedy).toContain('--classes');
    expect((await failureOf('FORMAT', () => open('short.txt'))).fact).toContain('2 labels for 3 images');
    const large = await failureOf('INPUT', () => open('large.txt'));
    expect(large.fact).toBe("image 'ILSVRC2012_val_00000003.JPEG' has label 7, and the class list has 3 classes");
    write('badkit/val.tar', validation);
    write('badkit/ILSVRC2012_devkit_t12.tar.gz', Buffer.from('no gzip'));
    await failureOf('FORMAT', () => openSource(join(folder, 'badkit/val.tar')));
    const strange = kit('1\n2\n9\n');
    write('badkit/ILSVRC2012_devkit_t12.tar.gz', strange);
    expect((await failureOf('FORMAT', () => openSource(join(folder, 'badkit/val.tar')))).fact).toContain('number 9');
  });
});

describe('WebDataset shards', () => {
  const shard = (first: number, labels: readonly (number | string)[]): Buffer =>
    tarOf(
      labels.flatMap((label, at) => [
        { name: `x/${first + at}.jpg`, data: `image ${first + at}` },
        { name: `x/${first + at}.cls`, data: `${label}\n` },
      ]),
    );

  it('reads labels above 255, from braces or a folder, in the order of the shards', async () => {
    write('shards/a-000.tar', shard(0, [999, 0]));
    write('shards/a-001.tar', shard(2, [256, 65_536]));
    const expected = [
      ['a-000.tar/x/0.jpg', 999, 'image 0'],
      ['a-000.tar/x/1.jpg', 0, 'image 1'],
      ['a-001.tar/x/2.jpg', 256, 'image 2'],
      ['a-001.tar/x/3.jpg', 65_536, 'image 3'],
    ];
    expect(await contents(await openSource(join(folder, 'shards/a-{000..001}.tar')))).toEqual(expected);
    const source = await openSource(join(folder, 'shards'));
    expect([source.format, source.classes.length]).toEqual(['webdataset', 65_537]);
    expect(await contents(source)).toEqual(expected);
    const few = await failureOf('INPUT', () => openSource(join(folder, 'shards'), { classes: plainClasses(['a']) }));
    expect(few.fact).toBe("image 'a-000.tar/x/0.jpg' has label 999, and the class list has 1 classes");
  });

  it('refuses an image without a label, and a tar that has labels in one shard only', async () => {
    const members = [
      { name: '1.jpg', data: '1' },
      { name: '1.json', data: '{"caption": "x", "label": "cat"}' },
      { name: '2.png', data: '2' },
      { name: '2.txt', data: ' dog ' },
    ];
    const mixed = await failureOf('FORMAT', () => openSource(write('mixed.tar', tarOf(members))));
    expect(mixed.fact).toBe("image '2.png' has no label beside it (.json ('label'))");
    write('half/a-0.tar', shard(0, [0, 1]));
    write('half/a-1.tar', tarOf([{ name: 'x/9.jpg', data: '9' }]));
    expect((await failureOf('FORMAT', () => openSource(join(folder, 'half')))).fact).toContain("'a-1.tar/x/9.jpg'");
  });
});

describe('any tar', () => {
  const members = [
    { name: 'set/cat/1.jpg', data: 'one' },
    { name: 'set/dog/2.jpg', data: 'two' },
  ];

  it('has its class folders, and names with ../ that lead nowhere', async () => {
    const source = await openSource(
      write('dots.tar', tarOf([...members, { name: '../../../set/cat/3.jpg', data: 'three' }])),
    );
    expect(source.classes).toEqual(['cat', 'dog']);
    expect(await contents(source)).toEqual([
      ['set/cat/1.jpg', 0, 'one'],
      ['set/dog/2.jpg', 1, 'two'],
      ['../../../set/cat/3.jpg', 0, 'three'],
    ]);
  });

  it('reads long names (GNU and pax) and ignores links', async () => {
    const long = `${'deep/'.repeat(40)}cat/1.jpg`;
    const record = ` path=${long.replace('cat', 'dog')}\n`;
    const pax = `${record.length + 3}${record}`;
    const bytes = tarOf([
      { name: '././@LongLink', data: `${long}\0`, type: 'L' },
      { name: 'short', data: 'one' },
      { name: 'PaxHeader', data: pax, type: 'x' },
      { name: 'short', data: 'two' },
      { name: 'cat/link.jpg', data: '', type: '2' },
    ]);
    const source = await openSource(write('long.tar', bytes));
    expect(await contents(source)).toEqual([
      [long, 0, 'one'],
      [long.replace('cat', 'dog'), 1, 'two'],
    ]);
  });

  it('has the classes of the folder that it is unpacked to', async () => {
    const open = async (names: readonly string[], split?: string): Promise<readonly string[]> => {
      const source = await openSource(write('tree.tar', tarOf(names.map((name) => ({ name, data: name })))), { split });
      await source.close();
      return Array.from(
        { length: source.length },
        (_, index) => `${source.name(index)} ${source.classes[source.label(index)]!}`,
      );
    };
    expect(await open(['s/a/x/1.jpg', 's/a/y/2.jpg', 's/b/3.jpg'])).toEqual([
      's/a/x/1.jpg a',
      's/a/y/2.jpg a',
      's/b/3.jpg b',
    ]);
    const vehicles = ['bus/1.jpg', 'train/s0/2.jpg', 'train/s1/3.jpg', 'car/4.jpg'];
    const expected = ['bus/1.jpg bus', 'train/s0/2.jpg train', 'train/s1/3.jpg train', 'car/4.jpg car'];
    for (const split of [undefined, 'train', 'val']) expect(await open(vehicles, split)).toEqual(expected);
    const parts = ['d/train/a/1.jpg', 'd/val/b/2.jpg', 'd/train/b/x/3.jpg', 'd/val/a/4.jpg'];
    expect(await open(parts, 'train')).toEqual(['d/train/a/1.jpg a', 'd/train/b/x/3.jpg b']);
    expect(await open(parts, 'validation')).toEqual(['d/val/b/2.jpg b', 'd/val/a/4.jpg a']);
    const named = await failureOf('INPUT', () => open(parts));
    expect(named.fact).toBe('the tar holds the parts train, val of a data set');
    await failureOf('INPUT', () => open(parts, 'test'));
    await failureOf('INPUT', () => open(['train/a/1.jpg', 'train/b/2.jpg'], 'val'));
    expect(await open(['train/a/1.jpg', 'train/b/2.jpg'])).toEqual(['train/a/1.jpg a', 'train/b/2.jpg b']);
    // Images with a point in their names are images; the same field beside every image is none.
    expect(await open(['a/1.jpg', 'a/1.2.jpg', 'b/2.jpg'])).toHaveLength(3);
    expect(await open(['a/1.jpg', 'a/1.seg.png', 'b/2.jpg', 'b/2.seg.png'])).toEqual(['a/1.jpg a', 'b/2.jpg b']);
    // The last of a name counts, as when it is unpacked.
    expect(await open(['a/1.jpg', 'b/2.jpg', 'a/1.jpg'])).toEqual(['b/2.jpg b', 'a/1.jpg a']);
  });

  it('has hard links, to members before or behind them', async () => {
    const bytes = tarOf([
      { name: './b/2.jpg', data: '', type: '1', target: './a/9.jpg' },
      { name: './a/1.jpg', data: 'one' },
      { name: './b/1.jpg', data: '', type: '1', target: 'a/1.jpg' },
      { name: './b/3.jpg', data: '', type: '1', target: './b/1.jpg' },
      { name: './a/9.jpg', data: 'nine' },
      { name: './b/4.jpg', data: '', type: '1', target: './nowhere.jpg' },
    ]);
    const source = await openSource(write('hard.tar', bytes));
    expect(source.warnings).toEqual(['1 hard link to members that are not there: it is left out']);
    expect(await contents(source)).toEqual([
      ['./b/2.jpg', 1, 'nine'],
      ['./a/1.jpg', 0, 'one'],
      ['./b/1.jpg', 1, 'one'],
      ['./b/3.jpg', 1, 'one'],
      ['./a/9.jpg', 0, 'nine'],
    ]);
    const long = `${'deep/'.repeat(40)}1.jpg`;
    const record = ` linkpath=${long}\n`;
    const linked = tarOf([
      { name: '././@LongLink', data: `${long}\0`, type: 'L' },
      { name: 'short', data: 'one' },
      { name: '././@LongLink', data: `${long}\0`, type: 'K' },
      { name: 'a/2.jpg', data: '', type: '1', target: long.slice(0, 100) },
      { name: 'PaxHeader', data: `${record.length + 3}${record}`, type: 'x' },
      { name: 'a/3.jpg', data: '', type: '1', target: long.slice(0, 100) },
      { name: 'a/1.cls', data: '5' },
      { name: 'a/2.cls', data: '', type: '1', target: 'a/1.cls' },
      { name: 'a/3.cls', data: '', type: '1', target: 'a/1.cls' },
    ]);
    const failure = await failureOf('FORMAT', () => openSource(write('linked.tar', linked)));
    expect(failure.fact).toContain(`'${long}' has no label`);
    const sized = tarMember({ name: 'b/2.jpg', data: '', type: '1', target: 'a/1.jpg' });
    sized.write('00000000003', 124);
    const old = Buffer.concat([
      tarMember({ name: 'a/1.jpg', data: 'one' }),
      withChecksum(sized),
      tarOf([{ name: 'b/3.jpg', data: 'two' }]),
    ]);
    expect((await contents(await openSource(write('old.tar', old)))).map(([, , text]) => text)).toEqual([
      'one',
      'one',
      'two',
    ]);
  });

  it('says what it leaves out: symbolic links, files with holes, what follows the end mark', async () => {
    const first = tarOf([
      { name: 'a/1.jpg', data: 'one' },
      { name: 'a/2.jpg', data: '', type: '2', target: '1.jpg' },
      { name: 'a/pipe.jpg', data: '', type: '6' },
      { name: 'b/2.jpg', data: 'two' },
    ]).subarray(0, -1024);
    const sparse = tarMember({ name: 'b/3.jpg', data: 'three', type: 'S' });
    sparse[482] = 1;
    const map = Buffer.alloc(512);
    const holes = Buffer.concat([withChecksum(sparse.subarray(0, 512)), map, sparse.subarray(512)]);
    const record = '22 GNU.sparse.major=1\n';
    const pax = [
      { name: 'PaxHeader', data: record, type: 'x' },
      { name: 'GNUSparseFile.0/4.jpg', data: 'four' },
    ].map(tarMember);
    const second = tarOf([
      { name: 'b/5.jpg', data: 'five' },
      { name: 'b/6.jpg', data: 'six' },
    ]);
    const whole = Buffer.concat([first, holes, ...pax, Buffer.alloc(512), second, second]);
    const source = await openSource(write('odd.tar', whole));
    expect(source.warnings).toEqual([
      '1 symbolic link: it is left out',
      '2 sparse files: they are left out',
      '1 special member (devices, pipes, parts of other volumes): it is left out',
      '4 members behind the end mark of its tar, a block of zeros: they are left out',
    ]);
    expect(await contents(source)).toEqual([
      ['a/1.jpg', 0, 'one'],
      ['b/2.jpg', 1, 'two'],
    ]);
    const padded = Buffer.concat([tarOf(members), Buffer.alloc(9 * 1024)]);
    expect((await openSource(write('padded.tar', padded))).warnings).toEqual([]);
    const garbage = Buffer.concat([tarOf(members), Buffer.alloc(1024, 65)]);
    expect((await openSource(write('garbage.tar', garbage))).warnings).toEqual([]);
  });

  it('is refused in a folder of compressed ones, and those beside others are named', async () => {
    for (const name of ['a-0.tar.gz', 'a-1.tar.gz']) write(`zipped/${name}`, gzipSync(tarOf(members)));
    const failure = await failureOf('UNSUPPORTED', () => openSource(join(folder, 'zipped')));
    expect(failure.fact).toContain('the folder holds 2 compressed tars, such as a-0.tar.gz');
    expect(failure.remedy).toBe(
      `decompress them first: gunzip ${join(folder, 'zipped/*.tar.gz')}; images do not get smaller by it`,
    );
    await failureOf('UNSUPPORTED', () => openSource(join(folder, 'zipped/a-{0..1}.tar.gz')));
    write('zipped-parts/train/a.tgz', gzipSync(tarOf(members)));
    const nested = await failureOf('UNSUPPORTED', () => openSource(join(folder, 'zipped-parts'), { split: 'train' }));
    expect(nested.fact).toContain('1 compressed tar, such as train/a.tgz');
    write('zipped/b.tar', tarOf(members));
    const source = await openSource(join(folder, 'zipped'));
    expect([source.length, source.warnings]).toEqual([2, ['2 compressed tars are left out: a-0.tar.gz, a-1.tar.gz']]);
  });

  it('is found in folders at any depth, and chosen by the part that it lies in', async () => {
    const shard = (label: number): Buffer =>
      tarOf([
        { name: '1.jpg', data: 'x' },
        { name: '1.cls', data: String(label) },
      ]);
    write('below/shards/train/0.tar', shard(1));
    write('below/shards/val/0.tar', shard(0));
    const source = await openSource(join(folder, 'below'), { split: 'train' });
    expect([source.length, source.label(0), source.warnings]).toEqual([1, 1, []]);
    expect((await failureOf('INPUT', () => openSource(join(folder, 'below')))).fact).toContain('the parts train, val');
    write('below/shards/val/pack.unfinished.json', Buffer.from('{}'));
    await failureOf('INPUT', () => openSource(join(folder, 'below'), { split: 'val' }));
    write('two/x/0.tar', shard(1));
    write('two/y/0.tar', shard(0));
    const two = await openSource(join(folder, 'two'));
    expect([two.name(0), two.name(1)]).toEqual(['x/0.tar/1.jpg', 'y/0.tar/1.jpg']);
    expect(two.warnings).toEqual(["the tars of 2 folders are read as one data set: 'x', 'y'"]);
  });

  it('says where it is cut, at any byte', async () => {
    const whole = tarOf(members);
    for (let end = 1; end < whole.length - 1024; end += 97) {
      const path = write('cut.tar', whole.subarray(0, end));
      const failure = await failureOf('FORMAT', () => openSource(path));
      expect(failure.fact).toMatch(/the tar is cut|the file is no tar/);
      expect(failure.place).toMatch(/cut\.tar, offset \d+$/);
    }
    const inner = write('inner.tar', tarOf([{ name: 'n01440764.tar', data: whole.subarray(0, 1300) }]));
    expect((await failureOf('FORMAT', () => openSource(inner))).place).toContain("member 'n01440764.tar'");
  });

  it('refuses what is damaged, compressed, empty or no tar', async () => {
    const whole = tarOf(members);
    const damaged = Buffer.from(whole);
    damaged[1024]! ^= 1;
    expect((await failureOf('FORMAT', () => openSource(write('damaged.tar', damaged)))).fact).toContain('damaged');
    await failureOf('UNSUPPORTED', () => openSource(write('z.tar.gz', gzipSync(whole))));
    await failureOf('FORMAT', () => openSource(write('no.tar', Buffer.alloc(2000, 65))));
    await failureOf('INPUT', () => openSource(write('none.tar', tarOf([{ name: 'a.txt', data: 'x' }]))));
    await failureOf('INPUT', () => openSource(join(folder, 'missing-{0..3}.tar')));
    await failureOf('USAGE', () => openSource(join(folder, 'missing-{3..0}.tar')));
    const huge = tarMember({ name: 'cat/1.jpg', data: 'x' });
    huge.write('77777777777\0', 124);
    await failureOf('FORMAT', () => openSource(write('huge.tar', huge)));
  });

  it('fails an image whose file has become shorter', async () => {
    const path = write('shrunk.tar', tarOf(members));
    const source = await openSource(path);
    writeFileSync(path, tarOf(members).subarray(0, 700));
    await failureOf('FORMAT', () => source.read(1));
    await source.close();
  });
});
