// JSON Schemas of every published JSON, from the types: src/contracts/schemas/*.json. `npm run schema` writes them; with --check it
// only says which are not what the types say, and fails. Both read what `npm run build` makes.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { format } from 'prettier';
import { createGenerator } from 'ts-json-schema-generator';

/** Types of src/contracts by the name of the file. */
const contracts = {
  convert: 'ConvertReport',
  curve: 'CurveReport',
  inspect: 'InspectReport',
  merge: 'MergeReport',
  compare: 'CompareReport',
  train: 'TrainReport',
  recover: 'RecoverReport',
  'recover-explain': 'RecoverExplainReport',
  'train-explain': 'TrainExplainReport',
  'lr-find': 'LrFindReport',
  eval: 'EvalReport',
  agreement: 'AgreementReport',
  study: 'StudyReport',
  artifacts: 'ArtifactsManifest',
  checkpoint: 'CheckpointState',
  'write-back': 'WriteBackReport',
  create: 'CreateReport',
  architectures: 'ArchitecturesReport',
  'data-check': 'DataCheckReport',
  'data-pack': 'DataPackReport',
  doctor: 'DoctorReport',
  error: 'ErrorReport',
};
const folder = 'src/contracts/schemas';

const isCheck = process.argv.includes('--check');
mkdirSync(folder, { recursive: true });
const stale = [];
// Declarations say types that are made of values.
const generator = createGenerator({
  path: 'dist/src/contracts/*.d.ts',
  type: '*',
  tsconfig: 'tsconfig.json',
  additionalProperties: true,
  skipTypeCheck: true,
});
for (const [name, type] of Object.entries(contracts)) {
  const schema = generator.createSchema(type);
  const file = `${folder}/${name}.schema.json`;
  const text = await format(JSON.stringify(schema), { parser: 'json', printWidth: 120 });
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  stale.push(file);
  if (!isCheck) writeFileSync(file, text);
}
if (isCheck && stale.length > 0) {
  process.stderr.write(`not what the types say: ${stale.join(', ')}; run npm run schema\n`);
  process.exitCode = 1;
}
