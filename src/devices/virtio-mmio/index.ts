export { VIRTIO_MMIO } from "./registers.ts";
export { VirtioMmio, type VirtioMmioOptions } from "./virtio-mmio.ts";
