import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createProgress } from '../../src/report/progress.js';

/** A terminal that keeps what is written to it, and the line that a person would see. */
function terminal(
  columns: number,
  isTTY = true,
): { write(text: string): void; isTTY: boolean; columns: number; frames: string[]; screen(): string } {
  const frames: string[] = [];
  return {
    isTTY,
    columns,
    frames,
    write: (text) => frames.push(text),
    // Every frame starts with "return, erase".
    screen: () => frames.join('').split('\r\u001B[K').at(-1) ?? '',
  };
}

describe('createProgress', () => {
  it('shows phase, bar, count, time left and detail', () => {
    const stream = terminal(100);
    let time = 0;
    const progress = createProgress({ stream, enabled: true, now: () => time });
    progress.update({ phase: 'factorizing', done: 0, total: 40, detail: 'conv1' });
    expect(stream.screen()).toBe('factorizing [------------------------] 0/40  conv1');
    time = 10_000;
    progress.update({ phase: 'factorizing', done: 10, total: 40, detail: 'layer1.0.conv1' });
    expect(stream.screen()).toBe('factorizing [######------------------] 10/40 30 s left  layer1.0.conv1');
    progress.done();
    expect(stream.screen()).toBe('');
  });

  it('counts the time left from the start of a phase', () => {
    const stream = terminal(100);
    let time = 0;
    const progress = createProgress({ stream, enabled: true, now: () => time });
    progress.update({ phase: 'reading', done: 1, total: 1 });
    time = 60_000;
    progress.update({ phase: 'factorizing', done: 0, total: 4 });
    time = 61_000;
    progress.update({ phase: 'factorizing', done: 1, total: 4 });
    expect(stream.screen()).toBe('factorizing [######------------------] 1/4 3 s left');
  });

  it('draws at most ten frames a second', () => {
    const stream = terminal(80);
    let time = 0;
    const progress = createProgress({ stream, enabled: true, now: () => time });
    for (; time < 5000; time += 5) progress.update({ phase: 'p', done: time, total: 5000 });
    expect(stream.frames.length).toBeGreaterThan(40);
    expect(stream.frames.length).toBeLessThanOrEqual(51);
  });

  it('writes nothing where it is not enabled or the stream is no terminal', () => {
    for (const [isTTY, enabled] of [
      [true, false],
      [false, true],
    ] as const) {
      const stream = terminal(80, isTTY);
      const progress = createProgress({ stream, enabled });
      progress.update({ phase: 'p', done: 1, total: 2 });
      progress.done();
      expect(stream.frames).toEqual([]);
    }
  });

  it('never fills the last column, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 40 }),
        fc.string({ unit: fc.constantFrom('a', '中', '\n', '\u001B'), maxLength: 60 }),
        fc.nat(1e6),
        fc.nat(1e6),
        fc.integer({ min: 1, max: 90 }),
        (phase, detail, done, total, columns) => {
          const stream = terminal(columns);
          createProgress({ stream, enabled: true, now: () => 0 }).update({ phase, done, total, detail });
          expect(stream.screen()).not.toMatch(/\p{Cc}/u);
          expect(stream.screen().length).toBeLessThan(Math.max(columns, 1));
        },
      ),
    );
  });
});
