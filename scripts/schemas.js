// JSON Schemas of every published JSON, from the types: src/contracts/schemas/*.json. `npm run schema` writes them; with --check it
// only says which are not what the types say, and fails. Both read what `npm run build` makes.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { format } from 'prettier';
import { createGenerator } from 'ts-json-schema-generator';

/** By the name of the file: the module in src/contracts, and the type. */
const contracts = {
  convert: ['convert', 'ConvertReport'],
  curve: ['convert', 'CurveReport'],
  inspect: ['convert', 'InspectReport'],
  merge: ['convert', 'MergeReport'],
  compare: ['compare', 'CompareReport'],
  train: ['train', 'TrainReport'],
  'train-explain': ['train-explain', 'TrainExplainReport'],
  'lr-find': ['lr-find', 'LrFindReport'],
  eval: ['eval', 'EvalReport'],
  study: ['study', 'StudyReport'],
  artifacts: ['../step/manifest', 'ArtifactsManifest'],
  'write-back': ['write-back', 'WriteBackReport'],
  error: ['error', 'ErrorReport'],
};
const folder = 'src/contracts/schemas';

const isCheck = process.argv.includes('--check');
mkdirSync(folder, { recursive: true });
const stale = [];
// Declarations say types that are made of values.
const generatorOf = (path) =>
  createGenerator({ path, type: '*', tsconfig: 'tsconfig.json', additionalProperties: true, skipTypeCheck: true });
const all = generatorOf('dist/src/contracts/*.d.ts');
for (const [name, [path, type]] of Object.entries(contracts)) {
  const generator = path.startsWith('../') ? generatorOf(`dist/src/contracts/${path}.d.ts`) : all;
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
