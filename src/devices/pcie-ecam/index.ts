export { PcieEcam } from "./pcie-ecam.ts";
