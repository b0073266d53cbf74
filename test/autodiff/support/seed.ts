/** A fixed seed for fast-check, printed so that a failure can be repeated with another. */
export function seed(what: string, value = 20_250_901): number {
  process.stdout.write(`seed of ${what}: ${value}\n`);
  return value;
}
