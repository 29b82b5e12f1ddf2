export { PcieEcam, type PcieEcamOptions } from "./pcie-ecam.ts";
