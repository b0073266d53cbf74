// Draws labelled images for the demo: one pattern a class, in random colors, sizes and places.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

export const side = 64;

/** A pattern a class: a tile of SVG that fills the image, in units of its own. */
const patterns = {
  checks: '<path d="M0,0h1v1h-1zM1,1h1v1h-1z"/>',
  diagonals: '<path d="M0,0h1l1,1v1h-.01zM0,1l1,1h-1z"/>',
  dots: '<circle cx="1" cy="1" r=".65"/>',
  rings: '<circle cx="1" cy="1" r=".7" fill="none" stroke-width=".3"/>',
  rows: '<path d="M0,0h2v1h-2z"/>',
  columns: '<path d="M0,0h1v2h-1z"/>',
};

export const classes = Object.keys(patterns).length;

/** A small deterministic generator (mulberry32): the demo is the same everywhere. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function picture(name, random) {
  const hue = random() * 360;
  const ground = `hsl(${hue}, ${20 + 60 * random()}%, ${15 + 25 * random()}%)`;
  const color = `hsl(${hue + 60 + 240 * random()}, ${40 + 60 * random()}%, ${60 + 25 * random()}%)`;
  const tile = 4 + 5 * random();
  const shift = () => tile * 2 * random();
  const transform = `translate(${shift()},${shift()}) rotate(${8 * random() - 4}) scale(${tile})`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}"><defs><pattern id="p" width="2" height="2" patternUnits="userSpaceOnUse" patternTransform="${transform}"><g fill="${color}" stroke="${name === 'rings' ? color : 'none'}">${patterns[name]}</g></pattern></defs><rect width="100%" height="100%" fill="${ground}"/><rect width="100%" height="100%" fill="url(#p)"/></svg>`;
}

/** Writes `<folder>/{train,val}/<pattern>/*.png`. */
export async function drawImages(folder, counts) {
  rmSync(folder, { recursive: true, force: true });
  const random = randomOf(1);
  for (const [split, count] of Object.entries(counts)) {
    for (const name of Object.keys(patterns)) {
      const target = join(folder, split, name);
      mkdirSync(target, { recursive: true });
      for (let i = 0; i < count; i++) {
        const file = join(target, `${String(i).padStart(4, '0')}.png`);
        await sharp(Buffer.from(picture(name, random)))
          .removeAlpha()
          .png()
          .toFile(file);
      }
    }
  }
}
