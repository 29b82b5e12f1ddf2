export { FwCfg, type FwCfgOptions, type LinuxBoot } from "./fw-cfg.ts";
export { type ItemOptions, KEY } from "./items.ts";
export { FW_CFG } from "./registers.ts";
