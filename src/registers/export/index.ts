/** What is derived from a declaration for people and for other tools: pure functions, text out. */
export { registersHeader, registersHeaderTest, structName } from "./c-header.ts";
export { fillRegisterSection, registersMarkdown } from "./markdown.ts";
export { deviceSvd, registersSvd, type SvdDevice, type SvdPeripheral } from "./svd.ts";
export { registersText } from "./text.ts";
