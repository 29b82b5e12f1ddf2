export { targetDescription } from "./features.ts";
export { checksumOf, escapeBinary, fromHex, PACKET_SIZE, PacketStream, toHex, unescapeBinary } from "./packets.ts";
export { GdbSession } from "./session.ts";
export type { CpuAction, DebugTarget, StopReason, TargetRegister, WatchKind } from "./target.ts";
