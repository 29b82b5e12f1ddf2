export { CfiFlash, type CfiFlashOptions } from "./cfi-flash.ts";
export { cfiQuery, type FlashGeometry } from "./query.ts";
