/** Models that every conversion by the weights alone is run on: exporters, opsets and kinds of layers that differ. */
const models = {
  conv8: 'cifar10-conv8-pt1.11-op9',
  marabou: 'cifar10-marabou-medium-tf2onnx1.8-op9-nhwc',
  'resnet20-op7': 'cifar10-resnet20-pt1.5-op7-initinputs',
  resnet20: 'cifar10-resnet20-pt1.6-op9-bn',
  resnet3b2: 'cifar10-resnet3b2-a-pt1.10-op9',
  resnet8: 'cifar10-resnet8-pt1.12-op13',
  tinycnn: 'cifar10-tinycnn-op18',
  vit: 'cifar10-vit-pgd-pt2.0-op9',
  'resnet20-nhwc': 'cifar100sub3-resnet20-pt1.13-op9-nhwcprep',
  lenet: 'mnist-lenet-onnxmltools-op11',
  mlp: 'mnist-mlp-pt2.3-op17',
  cnn28: 'obra-cnn28-50cls-pt2.12-op18',
  mobilenetv3: 'ppocr-cls-mobilenetv3-paddle-op10',
  efficientnet: 'st-efficientnet-lc-flowers5',
};
const [resnet8, resnet20, tinycnn] = ['resnet8', 'resnet20', 'tinycnn'].map((name) => `models/${models[name]}.onnx`);

const images = '--normalization cifar10';
const convert = (model, options) => ({ line: `convert ${model} -o small.onnx --threads 1 --json ${options}` });
const byWeights = (model, options) => convert(model, `--calibrate none ${options}`);
const training = `--data photos ${images} --epochs 2 --batch-size 20 --lr 0.001 --clip 1 --seed 1 --threads 1 --workers 1`;
const train = (model, options) => ({
  line: `train ${model} -o trained.onnx ${training} --checkpoint-every 4 --keep-checkpoints 9 --json ${options}`,
});
const artifacts = (options) => ({ line: `artifacts ${tinycnn} -o step --json ${options}` });
const plain = (line) => ({ line });
const failing = (line, code = 1) => ({ line, code });

const study = `architectures: [${tinycnn}]
rank-scales: [0.25]
inits: [spectral, lfai]
seeds: 1
data: photos
train: {epochs: 1, batch-size: 20, lr: 0.01, clip: 1, normalization: cifar10, threads: 1, workers: 1}
`;

const commands = [
  'convert',
  'compare',
  'inspect',
  'train',
  'artifacts',
  'eval',
  'study',
  'create',
  'merge',
  'data',
  'doctor',
];

/**
 * What is run: each case in a folder of its own that holds links to `models` and `photos` (120 pictures of CIFAR-10 to train on, 80 for
 * validation) and `files`. `steps`: command lines, and the exit code of each where it is not 0.
 */
export const cases = [
  ...Object.entries(models).map(([name, file]) => ({
    name: `weights/${name}`,
    steps: [byWeights(`models/${file}.onnx`, '')],
  })),
  ...Object.entries({
    'rank-scale': '--rank-scale 0.5',
    energy: '--energy 0.9',
    ranks: '--ranks ranks.json',
    vbmf: '--vbmf',
    'stable-rank': '--stable-rank 2 --rank-multiple 4',
    'params-budget': '--params-budget 0.5',
    'macs-budget': '--macs-budget 0.4 --min-rank 2',
    channel: '--scheme channel --no-keep-first --no-keep-last',
    spectral: '--init spectral',
    'spectral-scaled': '--init spectral-scaled',
    'relu-svd': '--init relu-svd --scheme spatial',
    baseline: '--init baseline --seed 3',
    'lfai-ws-adam': '--init lfai-ws-adam --fit-steps 20',
    fai: '--init fai --fit-steps 5',
    reinit: '--reinit --rank-scale 0.1 --seed 1',
    exclude: '--exclude Conv_3 --external-data',
  }).map(([name, options]) => ({
    name: `ranks/${name}`,
    files: { 'ranks.json': '{"Conv_3": 5, "Conv_10": "keep", "Conv_40": 9}' },
    steps: [byWeights(resnet8, options)],
  })),
  ...['resnet8', 'tinycnn', 'mlp'].map((name) => ({
    name: `synthetic/${name}`,
    steps: [convert(`models/${models[name]}.onnx`, '')],
  })),
  {
    name: 'images/calibrate',
    steps: [convert(resnet8, `--calibrate photos/train --calibrate-images 48 ${images} --report report.html`)],
  },
  {
    name: 'images/keep',
    steps: [convert(tinycnn, `--calibrate photos/train --calibrate-images 48 ${images} --keep 0.9`)],
  },
  {
    name: 'images/curve',
    steps: [
      plain(`convert ${tinycnn} --curve --calibrate photos/train --calibrate-images 48 ${images} --threads 1 --json`),
    ],
  },
  {
    name: 'images/accuracy-budget',
    steps: [byWeights(tinycnn, `--accuracy-budget 20 --val photos/val --evaluations 3 ${images}`)],
  },
  {
    name: 'images/recalibrate',
    steps: [byWeights(resnet20, `--recalibrate photos/train --recalibrate-images 64 ${images}`)],
  },
  {
    name: 'images/text',
    steps: [
      plain(`convert ${tinycnn} -o small.onnx --calibrate photos/train --calibrate-images 48 ${images} --threads 1`),
    ],
  },
  {
    name: 'pairs',
    steps: [
      byWeights(resnet8, '--rank-scale 0.25'),
      plain('inspect small.onnx --json'),
      plain('inspect small.onnx --sort macs'),
      plain('merge small.onnx -o merged.onnx --all --json'),
      plain('merge small.onnx -o cheaper.onnx'),
    ],
  },
  {
    name: 'merge/batch-normalization',
    steps: [plain(`merge ${resnet20} -o merged.onnx --json`), plain('inspect merged.onnx --json')],
  },
  {
    name: 'inspect/sensitivity',
    steps: [
      plain(
        `inspect ${resnet8} --sensitivity --data photos/train --calibrate-images 32 ${images} --threads 1 --report inspect.html --json`,
      ),
    ],
  },
  ...['sgd', 'adam', 'adamw', 'rmsprop'].map((optimizer) => ({
    name: `train/${optimizer}`,
    steps: [train(tinycnn, `--optimizer ${optimizer}`)],
  })),
  ...['cpu', 'portable'].map((target) => ({
    name: `train/${target}`,
    steps: [train(resnet8, `--target ${target}`)],
  })),
  { name: 'train/batch-normalization', steps: [train(resnet20, '--epochs 1 --checkpoint-every 6 --nesterov')] },
  { name: 'train/bfloat16', steps: [train(tinycnn, '--precision bfloat16')] },
  {
    name: 'train/pairs',
    steps: [
      byWeights(resnet8, ''),
      train(
        'small.onnx',
        '--frobenius-decay 1e-3 --ema 0.9 --label-smoothing 0.1 --accumulate 2 --dropout 0.2 --augment pad --schedule step --warmup 1',
      ),
    ],
  },
  { name: 'train/new-head', steps: [train(tinycnn, '--new-head --freeze stem*')] },
  {
    name: 'train/resume',
    steps: [
      train(tinycnn, '--epochs 1 --optimizer adam'),
      plain(`train ${tinycnn} --resume -o trained.onnx --epochs 2 --json`),
    ],
  },
  {
    name: 'train/text',
    steps: [plain(`train ${tinycnn} -o trained.onnx ${training}`)],
  },
  { name: 'train/explain', steps: [plain(`train ${resnet20} ${training} --explain`)] },
  {
    name: 'eval/json',
    steps: [
      plain(`eval ${resnet8} --data photos ${images} --threads 1 --workers 1 --json`),
      plain(`eval ${resnet8} --vs ${tinycnn} --data photos --limit 40 ${images} --threads 1 --workers 1 --json`),
    ],
  },
  {
    name: 'eval/text',
    steps: [plain(`eval ${tinycnn} --vs ${resnet8} --data photos ${images} --threads 1 --report evaluation.html`)],
  },
  ...['sgd', 'adam', 'adamw', 'rmsprop'].map((optimizer) => ({
    name: `artifacts/${optimizer}`,
    steps: [artifacts(`--optimizer ${optimizer}`)],
  })),
  { name: 'artifacts/cpu', steps: [artifacts('--target cpu --batch-size 4')] },
  { name: 'artifacts/cuda', steps: [artifacts('--target cuda --batch-size 4 --precision float16 --clip 1')] },
  {
    name: 'artifacts/write-back',
    steps: [artifacts(''), plain('artifacts step --write-back step/initial.safetensors -o written.onnx --json')],
  },
  {
    name: 'compare',
    steps: [
      plain(
        `compare ${tinycnn} --inits spectral,lfai,whitened --data photos/train --calibrate-images 48 --val photos/val ${images} --threads 1 --workers 1 --json`,
      ),
      plain(`compare ${tinycnn} --inits spectral,lfai --rank-scale 0.25 --threads 1`),
    ],
  },
  {
    name: 'study',
    files: { 'study.yaml': study },
    steps: [plain('study study.yaml --plan --json'), plain('study study.yaml --json')],
  },
  {
    name: 'create',
    steps: [
      plain('create resnet8_cifar -o model.onnx --seed 2 --json'),
      plain('create --list'),
      plain('create efficientnet_b0 -o b0.onnx --image-size 64 --num-classes 5'),
    ],
  },
  {
    name: 'data',
    steps: [
      plain('data check photos/train --workers 1'),
      plain('data check photos --split val --json --workers 1'),
      plain('data pack photos/val -o shards --size 24 --workers 1 --json'),
      plain('data check shards --json --workers 1'),
    ],
  },
  ...commands.map((command) => ({
    name: `help/${command}`,
    steps: [
      plain(`${command} --help`),
      ...(['study', 'create', 'doctor'].includes(command) ? [] : [plain(`${command} --help-all`)]),
    ],
  })),
  { name: 'help', steps: [plain('--help')] },
  {
    name: 'errors/usage',
    steps: [
      failing(`convert ${tinycnn} --rank-scales 0.5`, 2),
      failing(`convert ${tinycnn} --rank-scale 2 --json`, 2),
      failing(`convert ${tinycnn} --rank-scale 0.5 --energy 0.9`, 2),
      failing('transform model.onnx', 2),
      failing(`train ${tinycnn}`, 2),
    ],
  },
  {
    name: 'errors/models',
    steps: [
      failing('convert missing.onnx'),
      failing('inspect missing.onnx --json'),
      failing('convert models/refuse/cifar10-resnet8-qdq-op13.onnx -o small.onnx'),
      failing('convert models/refuse/html-page-saved-as-mobilenet_v2.onnx -o small.onnx'),
      failing('convert models/refuse/resnet50-external-data-missing.onnx -o small.onnx --json'),
      failing(`train models/refuse/cifar10-tinycnn-qlinear-op18.onnx -o trained.onnx ${training}`),
    ],
  },
  {
    name: 'errors/outputs',
    files: { 'small.onnx': 'of another program\n', 'bad/cat/broken.jpg': 'no picture\n' },
    steps: [
      failing(`convert ${tinycnn} -o small.onnx --calibrate none`),
      failing(`train ${tinycnn} -o trained.onnx --data nowhere`),
      failing(`eval ${tinycnn} --data bad --json`),
      failing('data check bad'),
      failing('train --resume -o trained.onnx', 2),
    ],
  },
];
