import { spawnSync } from 'node:child_process';

/** A Python that runs the examples: with numpy and onnxruntime. LOWRANK_PYTHON names one. */
export const python = [
  process.env['LOWRANK_PYTHON'],
  process.env['LOWRANK_ORACLE_PYTHON'],
  'python3',
  '/usr/bin/python3',
].find(
  (program) =>
    program !== undefined && spawnSync(program, ['-c', 'import numpy, onnxruntime'], { stdio: 'ignore' }).status === 0,
);
