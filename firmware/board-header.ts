/** Writes include/board.h from the board's data: `node firmware/board-header.ts`. `npm test` notices when it is out of date. */
import { writeFileSync } from "node:fs";
import { boardHeader } from "../platform/virt/exports.ts";

writeFileSync(new URL("include/board.h", import.meta.url), boardHeader());
