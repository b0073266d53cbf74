/**
 * The library behind the commands: convert, compare, train, inspect, merge and create ONNX models, and the graph they work on.
 *
 * @packageDocumentation
 */
import { nameFields } from './fields.js';

export { architectures, type Architecture, countParameters, create } from '../models/index.js';
export { drawOrthonormalPairs, type OrthonormalOptions } from './adapt/orthonormal-pairs.js';
export type { BadImage } from './data/bad-images.js';
export { checkTrainable } from './data/balance.js';
export type { Batch } from './data/batch.js';
export { cachedSource, type CachedSource, type CacheOptions } from './data/cached-source.js';
export { checkSource, type CheckOptions, type DataCheck, type Spread } from './data/check.js';
export { type ClassList, plainClasses, readClassList } from './data/class-list.js';
export { createLoader, type Loader, type LoaderOptions } from './data/loader.js';
export { type Normalization, NORMALIZATIONS, type OutputFormat } from './data/normalize.js';
export { openSource } from './data/open.js';
export { packSource, type PackOptions } from './data/pack.js';
export type { PackManifest, PackSettings } from './data/pack-manifest.js';
export type { Pixels } from './data/pixels.js';
export type { SourceOptions } from './data/source.js';
export type { CenterCrop, PaddedCrop, RandomResizedCrop, Stretch, Transform } from './data/transform.js';
export type { Blocks, Extent, ImageContent, ImageSample, ImageSource, SourceFormat } from './data/types.js';
export { compare, type CompareCall, type ComparePhase, type CompareProgress } from './compare/compare.js';
export type { CompareOptions, ValidationOptions } from './compare/settings.js';
export { type ErrorCode, type ErrorDetails, LowrankError } from './errors.js';
export { convert, type ConvertModelCall, usualCalibration } from './convert/usual-calls.js';
export { type ConvertCall, type ConvertPhase, type FindPreparation, type Progress } from './convert/call.js';
export type { Recalibrate, RecalibrateContext } from './training/recalibrate.js';
export { tradeOffCurve } from './convert/curve.js';
export type { PathUse, WithPaths } from './files/conflicts.js';
export type { FoundRanks, RankSearchContext, SearchRanks } from './convert/rank-search.js';
export type {
  Calibrate,
  CalibrateContext,
  CalibrationBatch,
  CalibrationImages,
  LayerData,
  LayerSamples,
  Moments,
} from './factorize/calibration/types.js';
export type { Approximate, ApproximateContext } from './convert/fit-whole.js';
export type { FittedSpectrum } from './factorize/fit.js';
export type { ConvertOptions } from './convert/options.js';
export type { LayerRank } from './factorize/settings.js';
export type { FittedPair, Init, InitName, InitProblem } from './factorize/types.js';
export type { Activation, FactorPair } from './rewrite/types.js';
export {
  type KernelSamples,
  projectNonlinearKernel,
  type ProjectedKernel,
  type ProjectKernelOptions,
} from './factorize/project-kernel.js';
export { type Attribute } from './graph/attribute.js';
export { checkModel } from './graph/check.js';
export { Graph, type Position } from './graph/graph.js';
export { type Model } from './graph/model.js';
export { Node, type NodeSpec } from './graph/node.js';
export { readModel } from './graph/read.js';
export { type DeclaredType, type Dimension, type Use, Value } from './graph/value.js';
export { modelBytes, writeModel, type WriteOptions, type WrittenFile } from './graph/write.js';
export { inspect, type InspectOptions, type InspectProgress } from './inspect/inspect.js';
export { merge, type MergeCall, type MergeOptions, type MergeProgress } from './merge/merge.js';
export { Tensor } from './onnx/tensor.js';
export { inferShapes, type InferOptions, type ShapeTable } from './ops/infer.js';
export { type TensorType } from './ops/operator.js';
export { compareHtml, type CompareHtmlOptions } from './report/html/compare-html.js';
export { convertHtml } from './report/html/convert-html.js';
export { evalHtml, type EvalHtmlOptions } from './report/html/eval.js';
export { recoverHtml, type RecoverHtmlOptions } from './report/html/recover.js';
export { studyHtml } from './report/html/study.js';
export { trainHtml, type TrainHtmlOptions } from './report/html/train.js';
export type * from './contracts/accuracy-budget.js';
export type * from './contracts/agreement.js';
export type * from './contracts/artifacts.js';
export type * from './contracts/checkpoint.js';
export type * from './contracts/compare.js';
export type * from './contracts/error.js';
export type * from './contracts/convert.js';
export type * from './contracts/create.js';
export type * from './contracts/data.js';
export type * from './contracts/doctor.js';
export type * from './contracts/eval.js';
export type * from './contracts/study.js';
export { createStudyProgress, type StudyProgress, type StudyProgressOptions } from './report/study-progress.js';
export type * from './contracts/train.js';
export type * from './contracts/recover.js';
export type * from './contracts/train-explain.js';
export type * from './contracts/train-settings.js';
export type * from './contracts/images.js';
export type * from './contracts/inspect.js';
export type * from './contracts/lr-find.js';
export type * from './contracts/merge.js';
export type * from './contracts/write-back.js';
export {
  createTrainProgress,
  type TrainProgress,
  type TrainProgressOptions,
  type TrainStep,
} from './report/train-progress.js';
export { type Diagnosis, diagnose } from './runtime/diagnose.js';
export { raiseOpset } from './passes/raise-opset.js';
export { type Pass, type PassReport, runPasses, type RunPassesOptions } from './passes/runner.js';
export { accuracySearch, type AccuracySearchSettings } from './convert/search-by-accuracy.js';
export { runStudy, type StudyCall } from './study/run.js';
export type { ModelSource, Regularizer, Study, StudyArchitecture } from './study/study.js';
export { type ArtifactsOptions, writeArtifacts } from './artifacts/artifacts.js';
export { writeBack, type WriteBackOptions } from './artifacts/write-back.js';
export { explainTraining } from './training/explain.js';
export { findLearningRate } from './training/lr-find.js';
export { explainRecovery } from './recover/explain.js';
export { recover, type RecoverOptions } from './recover/recover.js';
export { defaultRecoverSettings, type RecoverSettings } from './recover/settings.js';
export { defaultTrainSettings, type TrainOptions, type TrainSettings } from './training/options.js';
export { type PresetName, presetNames, presets, withPreset } from './training/presets.js';
export type { RunMode } from './training/session.js';
export { type AgreementOptions, measureAgreement } from './evaluate/measure-agreement.js';
export { evaluateModel, type EvalOptions } from './evaluate/eval.js';
export { type EvalSettings } from './evaluate/eval-settings.js';
export { calibration, type CalibrationSettings } from './images/calibrate.js';
export { functionApproximation } from './convert/function-approximation.js';
export { defaultRecipe, type PictureRecipe } from './data/dead-leaves.js';
export { syntheticCalibration, type SyntheticSettings } from './images/synthetic.js';
export { isImageModel } from './images/image-input.js';
export { recalibration, type RecalibrationSettings } from './training/recalibrate.js';
export type { ThenOptions } from './warmup/then.js';
export { train } from './warmup/train.js';
export { loadDriver, type DriverOptions } from './runtime/driver.js';
export type * from './runtime/types.js';

// Who calls the library is told of its fields, not of the commands' flags.
nameFields();
