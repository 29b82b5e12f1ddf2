export { type BlockStore, SECTOR_BYTES, VirtioBlock, type VirtioBlockOptions } from "./block.ts";
export { VirtioConsole } from "./console.ts";
export * from "./device.ts";
export { VirtioEntropy } from "./entropy.ts";
export { VirtioNetwork, type VirtioNetworkOptions } from "./network.ts";
export { OverlayStore } from "./overlay-store.ts";
export { VirtioP9, type VirtioP9Options } from "./p9.ts";
export { type FileStatus, type FileTree, P9Server, type Path } from "./p9-server.ts";
export { type Chain, lengthOf, QUEUE_SIZE_MAX, type Segment, Virtqueue } from "./queue.ts";
