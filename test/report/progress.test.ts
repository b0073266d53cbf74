import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
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

  it('writes a line that stays in half a minute without others, where the stream is no terminal', () => {
    const stream = terminal(80, false);
    let time = 0;
    const progress = createProgress({ stream, enabled: true, now: () => time });
    const at = (seconds: number, done: number): void => {
      time = 1000 * seconds;
      progress.update({ phase: 'factorizing', done, total: 100, detail: 'a layer of which the name is rather long' });
    };
    for (let second = 0; second < 45; second++) at(second, second);
    const line = `factorizing [#######-----------------] 30/100 1 min 10 s left  a layer of which the name is rather long\n`;
    expect(stream.frames).toEqual([line]);
    progress.done();
    for (let second = 45; second < 74; second++) at(second, second);
    expect(stream.frames).toEqual([line]);
    at(74, 74);
    expect(stream.frames).toHaveLength(2);
  });

  it('goes on by itself between updates, with the time left or the time so far', () => {
    vi.useFakeTimers();
    try {
      const stream = terminal(100);
      let time = 0;
      const progress = createProgress({ stream, enabled: true, now: () => time });
      const pass = (seconds: number): void => {
        for (let second = 0; second < seconds; second++) {
          time += 1000;
          vi.advanceTimersByTime(1000);
        }
      };
      progress.update({ phase: 'p', done: 0, total: 4 });
      pass(2);
      expect(stream.screen()).toBe('p [------------------------] 0/4');
      pass(6);
      expect(stream.screen()).toBe('p [------------------------] 0/4 8 s so far');
      progress.update({ phase: 'p', done: 2, total: 4 });
      pass(5);
      expect(stream.screen()).toBe('p [############------------] 2/4 3 s left');
      progress.done();
      pass(5);
      expect(stream.screen()).toBe('');
    } finally {
      vi.useRealTimers();
    }
  });

  it('takes a terminal of unknown width for one of 80 columns', () => {
    const stream = terminal(0);
    createProgress({ stream, enabled: true }).update({ phase: 'p'.repeat(200), done: 1, total: 2 });
    expect(stream.screen()).toHaveLength(79);
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
