import protobuf from 'protobufjs';
import schema from './onnx.proto.json' with { type: 'json' };

/** A decoded protobuf message: fields by their names in onnx.proto, `Long` for 64-bit integers. */
export type Message = Record<string, unknown>;

/** The codec of one message type of onnx.proto. */
export interface Codec {
  /** Keeps unknown fields. Throws an Error on malformed bytes. */
  decode(bytes: Uint8Array): Message;
  encode(message: Message): Uint8Array;
}

// Fields that a newer ONNX added must survive a round trip (protobufjs 8 drops them by default).
protobuf.Reader.discardUnknown = false;

const root = protobuf.Root.fromJSON(schema);

function codec(name: string): Codec {
  let type: protobuf.Type | undefined;
  const lookup = (): protobuf.Type => (type ??= root.lookupType(`onnx.${name}`));
  return {
    decode: (bytes) => lookup().decode(bytes),
    encode: (message) => lookup().encode(message).finish(),
  };
}

export const ModelProto = codec('ModelProto');
export const NodeProto = codec('NodeProto');
export const AttributeProto = codec('AttributeProto');
export const TensorProto = codec('TensorProto');
export const ValueInfoProto = codec('ValueInfoProto');
export const OperatorSetIdProto = codec('OperatorSetIdProto');
export const StringStringEntryProto = codec('StringStringEntryProto');
