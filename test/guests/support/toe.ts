/** What the servers of firmware/toe have. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { ROOT } from "./machines.ts";

export const TOE_IMAGE = join(ROOT, "firmware/images/toe.elf");

/** SHA-256 of the HTTP server's file: words x(n+1) = 1664525 x(n) + 1013904223 from 1, little-endian (firmware/toe/http.c). */
export function fileHash(mebibytes: number): string {
  const data = Buffer.alloc(mebibytes * 2 ** 20);
  let x = 1;
  for (let at = 0; at < data.length; at += 4) {
    data.writeUInt32LE(x >>> 0, at);
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
  }
  return createHash("sha256").update(data).digest("hex");
}
