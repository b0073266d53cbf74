/**
 * What a new user types in the first five minutes, as docs/first-five-minutes.md shows it. `head`, `tail`: how many lines of the output stay
 * there (all, where neither is given).
 */
export const steps = [
  {
    title: 'Install',
    about: 'The tarball is what `npm pack` makes of a checkout.',
    command: 'npm install --global --ignore-scripts ./lowrank-0.1.0.tgz',
  },
  { title: 'What there is', about: 'Every command, one line each.', command: 'lowrank --help' },
  {
    title: 'What this machine has',
    about: 'CUDA and WebGPU may be missing: nothing below needs them.',
    command: 'lowrank doctor',
  },
  {
    title: 'Look at the model',
    about: '`rank 90 %` is the rank that holds nine tenths of a layer.',
    command: 'lowrank inspect model.onnx',
    head: 8,
    tail: 8,
  },
  {
    title: 'Halve its work',
    about: 'No data, no labels: pictures are drawn.',
    command: 'lowrank convert model.onnx -o small.onnx',
    head: 8,
    tail: 16,
  },
  {
    title: 'What that cost',
    about: 'Both models see the same pictures; the interval is that of the difference.',
    command: 'lowrank eval small.onnx --vs model.onnx --data photos',
    head: 4,
    tail: 12,
  },
  {
    title: 'Get it back',
    about: 'A few epochs with labels.',
    command: 'lowrank train small.onnx -o tuned.onnx --data photos --preset fine-tune --epochs 3',
  },
  {
    title: 'And now',
    about: 'The same comparison, of the fine-tuned model.',
    command: 'lowrank eval tuned.onnx --vs model.onnx --data photos',
    head: 0,
    tail: 8,
  },
];
