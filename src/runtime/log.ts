import { LowrankError } from '../errors.js';

/** onnxruntime's levels; its number is the position. */
const LEVELS = ['verbose', 'info', 'warning', 'error', 'fatal'] as const;
export type LogLevel = (typeof LEVELS)[number];

/**
 * What onnxruntime prints to stderr: LOWRANK_ORT_LOG, else 'fatal', because every error also comes back as a status and
 * reaches the user once, as a LowrankError. Throws USAGE for an unknown level.
 */
export function logLevel(): LogLevel {
  const wanted = process.env['LOWRANK_ORT_LOG'];
  if (wanted === undefined || wanted === '') return 'fatal';
  const level = LEVELS.find((candidate) => candidate === wanted);
  if (level === undefined) {
    throw new LowrankError('USAGE', `LOWRANK_ORT_LOG is '${wanted}'`, { remedy: `choose one of ${LEVELS.join(', ')}` });
  }
  return level;
}

/** The same as an `OrtLoggingLevel`. */
export function logSeverity(): number {
  return LEVELS.indexOf(logLevel());
}
