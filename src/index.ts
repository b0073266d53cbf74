/**
 * The library behind the commands: convert, inspect, merge and create ONNX models, and the graph they work on.
 *
 * @packageDocumentation
 */
export { type ErrorCode, type ErrorDetails, LowrankError } from './errors.js';
export { convert, type ConvertCall, type ConvertPhase, type Progress } from './factorize/convert.js';
export type { FittedSpectrum } from './factorize/fit.js';
export type { ConvertOptions } from './factorize/settings.js';
export type { Activation, InitName } from './factorize/types.js';
export type * from './report/contract.js';
