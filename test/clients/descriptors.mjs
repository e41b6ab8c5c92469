// Prints the descriptors of the session service that ZITADEL's package has: a
// google.protobuf.FileDescriptorSet, in base64.

import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { file_zitadel_session_v2_session_service } from "@zitadel/proto/zitadel/session/v2/session_service_pb.js";
import { file_zitadel_session_v2beta_session_service } from "@zitadel/proto/zitadel/session/v2beta/session_service_pb.js";
import { file_zitadel_message } from "@zitadel/proto/zitadel/message_pb.js";

const files = new Map();
const add = (file) => {
  if (!files.has(file.name)) {
    files.set(file.name, file.proto);
    file.dependencies.forEach(add);
  }
};
[file_zitadel_session_v2_session_service, file_zitadel_session_v2beta_session_service, file_zitadel_message].forEach(add);
const set = create(FileDescriptorSetSchema, { file: [...files.values()].filter((f) => f.package.startsWith("zitadel")) });
process.stdout.write(Buffer.from(toBinary(FileDescriptorSetSchema, set)).toString("base64"));
