// Turns ONNX's own schema (onnx.proto, Apache-2.0, https://github.com/onnx/onnx) into the JSON descriptor that src/onnx/proto.ts loads.
// Usage: node scripts/onnx-schema.js path/to/onnx.proto
import { readFileSync, writeFileSync } from 'node:fs';
import protobuf from 'protobufjs';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: node scripts/onnx-schema.js path/to/onnx.proto');
const { root } = protobuf.parse(readFileSync(file, 'utf8'), { keepCase: true });
writeFileSync('src/onnx/onnx.proto.json', `${JSON.stringify(root.toJSON())}\n`);
