import type { Value } from '../graph/value.js';
import { isLayoutOperator } from '../ops/resolve-weight.js';
import type { Layer } from './layers.js';
import { schemeNames, schemes } from './schemes/index.js';

/** What the name of a factor is marked with: `.v` or `.u`. */
function factorMark(): string {
  const marks = schemeNames().flatMap((name) => schemes[name].factors.map(({ mark }) => mark));
  return `[.](${[...new Set(marks)].join('|')})`;
}

/** Names of nodes that exporters count up: `node_Conv_341`, `node_conv2d`, `Conv_0`, `/MatMul_3`, `n4_Conv`, `p2o.Conv.12`, `123`. */
const countedNode = (opType: string): RegExp =>
  new RegExp(String.raw`^(node_\w+|n\d+_${opType}|/?(p2o\.)?${opType}([._]?\d+)?|\d+)(_quant)?(${factorMark()})?$`);

/** Names of tensors that exporters count up: `onnx::Conv_193`, `val_12`, `_param_constant3`, `/Constant_output_0`, `123`. */
const countedTensor = (): RegExp =>
  new RegExp(
    String.raw`^(\d+|onnx::\w+|(val|t)_\d+|(_param_|lifted_tensor_|const_fold_opt_|initializer_|node_)\w*|/?Constant(_\d+)?(_output_\d+)?)(_quantized)?(${factorMark()})?$`,
  );

/** The part of a tensor's name that says that it is a weight, before the mark of a pair's factor. */
const weightWord = (): RegExp =>
  new RegExp(String.raw`[._/](weights?|kernel|w)(_quantized)?(?=(${factorMark()})?$)`, 'i');

/**
 * Gives layers the names that people are shown: a node's own, or its weight's (`layer4.0.conv2` for `layer4.0.conv2.weight`)
 * where an exporter has only counted the nodes. Where two layers would have one name, they keep their nodes'.
 */
export function labelLayers(layers: readonly Layer[]): Layer[] {
  const wanted = layers.map((layer) => wantedLabel(layer));
  const uses = new Map<string, number>();
  for (const name of [...wanted, ...layers.map((layer) => layer.name)]) uses.set(name, (uses.get(name) ?? 0) + 1);
  return layers.map((layer, index) => {
    const label = wanted[index]!;
    return label === layer.name || uses.get(label)! > 1 ? layer : { ...layer, label };
  });
}

function wantedLabel({ name, node, weightName }: Layer): string {
  if (weightName === undefined || !countedNode(node.opType).test(name) || countedTensor().test(weightName)) return name;
  const module = weightName.replace(weightWord(), '');
  return /^\d+$/.test(module) ? weightName : module;
}

/** The names that globs and rank files may have for a layer: of its node, of its weight, and what people are shown. */
export function namesOf({ name, label, weightName }: Layer): string[] {
  return [name, label, ...(weightName === undefined ? [] : [weightName])];
}

/** The name to show of the layer that a pair stands for: what the metadata record, or that of its first factor without the mark. */
export function pairLabel(recorded: string, opType: string, first: string): string {
  return countedNode(opType).test(recorded) ? first.replace(new RegExp(`${factorMark()}$`), '') : recorded;
}

/** The name of the stored tensor that a value is made of by changes of layout, type or scale. */
export function storedName(value: Value | undefined): string | undefined {
  let source = value;
  while (source !== undefined && source.tensor === undefined) {
    const { producer } = source;
    if (producer === undefined) return undefined;
    if (producer.is('Constant')) return producer.tensor('value')?.name || source.name;
    if (!isLayoutOperator(producer) && !producer.is('DequantizeLinear')) return undefined;
    source = producer.inputs[0];
  }
  return source?.name;
}
