/** Reading zstd where Node's own is not there: in a browser. It does not write; what a browser saves is not packed. */
import { decompress } from "fzstd";
import type { Codec } from "./snapshot.ts";

export const ZSTD_READER: Codec = {
  name: "zstd",
  compress: () => {
    throw new Error("zstd is not written here");
  },
  decompress: (data, bytes) => {
    const out = decompress(data, new Uint8Array(bytes));
    if (out.length !== bytes) throw new Error(`${out.length} bytes instead of ${bytes}`);
    return out;
  },
};
