/** Name and version of what is being run, from package.json. */
import { readFileSync } from "node:fs";

export function version(): string {
  const url = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}
