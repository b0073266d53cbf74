/** Numbers for people. All results are plain ASCII and take three significant digits unless said otherwise. */

const COUNT_UNITS = ['', ' k', ' M', ' G', ' T', ' P'];
const BYTE_UNITS = [' B', ' kB', ' MB', ' GB', ' TB'];

/** `value` with three significant digits, and never as an exponent: 1.2 → "1.20", 12.34 → "12.3", 999.6 → "1000". */
function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function withUnit(value: number, units: readonly string[]): string {
  if (!Number.isFinite(value)) return String(value);
  if (value < 0) return `-${withUnit(-value, units)}`;
  let scaled = value;
  let unit = 0;
  while (scaled >= 999.5 && unit + 1 < units.length) {
    scaled /= 1000;
    unit += 1;
  }
  const digits = unit === 0 && Number.isInteger(scaled) ? String(scaled) : threeDigits(scaled);
  return digits + (units[unit] ?? '');
}

/** A count in powers of 1000: 950, "1.23 M", "4.09 G". */
export function formatCount(count: number): string {
  return withUnit(count, COUNT_UNITS);
}

/** Bytes in powers of 1000: "45.2 MB". */
export function formatBytes(bytes: number): string {
  return withUnit(bytes, BYTE_UNITS);
}

/** The size of a difference of shares: "21.70 points". */
export function formatPoints(difference: number): string {
  return `${(100 * Math.abs(difference)).toFixed(2)} points`;
}

/** A fraction of 1 as "43.8 %". */
export function formatPercent(fraction: number): string {
  const percent = fraction * 100;
  const magnitude = Math.abs(percent);
  if (magnitude !== 0 && magnitude < 0.05) return percent < 0 ? '> -0.1 %' : '< 0.1 %';
  return `${percent.toFixed(magnitude >= 99.95 ? 0 : 1)} %`;
}

/** after / before as "0.438x". */
export function formatRatio(ratio: number): string {
  return Number.isFinite(ratio) ? `${ratio >= 99.95 ? ratio.toFixed(0) : ratio.toPrecision(3)}x` : String(ratio);
}

/** What became of `ratio` = after / before, in words: "56.2 % fewer", "12.0 % more", "unchanged". */
export function formatChange(ratio: number, words: { readonly less: string; readonly more: string }): string {
  if (!Number.isFinite(ratio)) return String(ratio);
  if (ratio === 1) return 'unchanged';
  return ratio < 1 ? `${formatPercent(1 - ratio)} ${words.less}` : `${formatPercent(ratio - 1)} ${words.more}`;
}

/** An error or a difference, of any magnitude: "0", "0.213", "4.1e-7". */
export function formatError(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 0.0005 && Math.abs(value) < 1000 ? value.toFixed(3) : value.toExponential(1);
}

/** A change of outputs, of any magnitude, with two significant digits: "1.5", "0.029", "0.0013", "4.5e-5". */
export function formatSmall(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  return magnitude >= 0.001 && magnitude < 99.5 ? String(Number(value.toPrecision(2))) : value.toExponential(1);
}

/** "0.43 s", "12.3 s", "4 min 05 s", "2 h 07 min". */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return String(seconds);
  if (seconds < 59.95) return `${seconds < 9.995 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** "3.21 ms". */
export function formatMilliseconds(milliseconds: number): string {
  return `${Number.isFinite(milliseconds) ? threeDigits(milliseconds) : String(milliseconds)} ms`;
}

/** Every digit, in groups of three: "25,557,032". */
export function formatWhole(count: number): string {
  return count.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** "3x3", or "1x7". */
export function formatKernel(kernel: readonly number[]): string {
  return kernel.join('x');
}

/** "1 layer", "2 layers". */
export function plural(count: number, noun: string): string {
  return `${formatWhole(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Images a second: whole numbers from 100 on. */
export function formatSpeed(imagesPerSecond: number): string {
  return `${imagesPerSecond.toFixed(imagesPerSecond < 99.95 ? 1 : 0)} img/s`;
}

/** A loss with four digits behind the point, where it is of a usual size. */
export function formatLoss(loss: number): string {
  return Math.abs(loss) >= 0.001 && Math.abs(loss) < 1000 ? loss.toFixed(4) : formatError(loss);
}

/** A learning rate with three significant digits: "0.1", "0.0488", "1e-7". */
export function formatRate(lr: number): string {
  return String(Number(lr.toPrecision(3)));
}
