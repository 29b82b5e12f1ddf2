export * from "./control.ts";
export * from "./gdb/index.ts";
export { compileGlob, compileRegisterGlob } from "./glob.ts";
export { formatGuestError, type GuestErrorCount, GuestErrorLog, type GuestErrorSink } from "./guest-errors.ts";
export { formatJson, JsonStream } from "./json.ts";
export { machineReport, type ReportInput } from "./machine-report.ts";
export { Monitor, type MonitorServices, MonitorTerminal } from "./monitor.ts";
export { PanicWatch } from "./panic-watch.ts";
export { QMP_VERSION, type QmpServices, QmpSession } from "./qmp.ts";
export { type QtestDevice, type QtestMachine, QtestServer } from "./qtest.ts";
export {
  bytesToText,
  type Input,
  type Point,
  type RecordedInput,
  type Recording,
  type RecordingEnd,
  type RecordingHeader,
  RecordingWriter,
  readRecording,
  readRecordingHeader,
  textToBytes,
} from "./replay.ts";
export {
  type Codec,
  decodeSnapshot,
  encodeSnapshot,
  machineDifference,
  PLAIN,
  readSnapshotHeader,
  type Snapshot,
  type SnapshotMachine,
} from "./snapshot.ts";
export {
  type Declarations,
  type DecodedAccess,
  decodeAccess,
  type FieldValue,
  formatAccess,
  RegisterTrace,
} from "./trace.ts";
export { ZSTD_READER } from "./zstd.ts";
