/**
 * The TOE on the host's own network: the host's Linux TCP is the peer of the guest's servers, through TAP in a network namespace. Lines that lose, hold
 * back and delay are those of -netdev, in both directions; with `tc netem` as well where the host's kernel has it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ROOT, requireTool } from "./support/machines.ts";
import { mayTap, Namespace } from "./support/namespace.ts";
import { run, type Session } from "./support/session.ts";
import { fileHash, TOE_IMAGE } from "./support/toe.ts";

const CLIENTS = fileURLToPath(new URL("support/echo-clients.mjs", import.meta.url));
const HOST = ["10.66.0.1/24", "fd66::1/64"];
const GUEST = "toe.ip=10.66.0.2/24 toe.ip=fd66::2/64";

interface Setting {
  readonly file?: number;
  /** Of -netdev. */
  readonly line?: string;
  readonly more?: readonly string[];
}

async function serve(namespace: Namespace, { file = 1, line = "", more = [] }: Setting): Promise<Session> {
  const session = namespace.start(
    process.execPath,
    join(ROOT, "bin/armature.mjs"),
    ...["run", "-M", "virt", "-m", "256", "-nographic", "-kernel", TOE_IMAGE, "-append", `${GUEST} toe.file=${file}`],
    ...["-netdev", `tap,id=n,ifname=tap0,script=no,downscript=no${line}`, "-device", "toe,netdev=n", ...more],
  );
  await session.expect("iperf3 at port 5201, IPv6", 60);
  return session;
}

async function fetchFile(namespace: Namespace, host: string, seconds: number): Promise<string> {
  const script = `set -o pipefail; curl -sS -g --fail --max-time ${seconds} http://${host}/file | sha256sum`;
  const { code, output } = await run(...namespace.command("bash", "-c", script), { seconds: seconds + 10 });
  expect(code, output).toBe(0);
  return output.split(" ")[0] ?? "";
}

/** Bits a second of the receiving side, by the host's clock. */
async function iperf(namespace: Namespace, ...args: string[]): Promise<number> {
  const { code, output } = await run(...namespace.command(requireTool("iperf3"), "--json", ...args));
  expect(code, output.slice(-500)).toBe(0);
  const { end, error } = JSON.parse(output) as {
    error?: string;
    end: { sum_sent: { seconds: number }; sum_received: { bytes: number; seconds: number } };
  };
  expect(error).toBeUndefined();
  // the guest's clock may be slower than the host's
  return (8 * end.sum_received.bytes) / Math.max(end.sum_sent.seconds, end.sum_received.seconds);
}

describe.runIf(mayTap)("the TOE and the host's Linux TCP (needs root and /dev/net/tun)", () => {
  it("curl fetches the page and 64 MiB with the right hash, over IPv4 and IPv6; HEAD, 404 and a kept connection", async () => {
    using namespace = new Namespace("curl", HOST);
    await using session = await serve(namespace, { file: 64 });
    const curl = async (...args: string[]) =>
      (await run(...namespace.command("curl", "-sS", "-g", "--max-time", "60", ...args))).output;
    const page = await curl("http://10.66.0.2/");
    expect(page).toContain("<h1>A bare-metal web server</h1>");
    expect(await curl("http://[fd66::2]/index.html")).toBe(page);
    expect(await curl("-I", "http://10.66.0.2/file")).toContain("Content-Length: 67108864");
    expect(await curl("-w", "%{http_code}", "-o", "/dev/null", "http://10.66.0.2/none")).toBe("404");
    expect(await curl("-w", "%{num_connects} ", "http://10.66.0.2/", "http://10.66.0.2/")).toBe(`${page}1 ${page}0 `);
    const hash = fileHash(64);
    expect(await fetchFile(namespace, "10.66.0.2", 120)).toBe(hash);
    expect(await fetchFile(namespace, "[fd66::2]", 120)).toBe(hash);
    expect(session.errors).not.toContain("guest errors");
  });

  it("iperf3 runs in both directions, with one and with eight streams; the capture has no malformed packet", async () => {
    const folder = mkdtempSync(join(tmpdir(), "armature-toe-"));
    const capture = join(folder, "toe.pcapng");
    {
      using namespace = new Namespace("iperf", HOST);
      await using _session = await serve(namespace, {
        more: ["-object", `filter-dump,id=f,netdev=n,file=${capture},maxlen=128`],
      });
      const figures = [
        await iperf(namespace, "-c", "10.66.0.2", "-n", "32M"),
        await iperf(namespace, "-c", "10.66.0.2", "-n", "32M", "-R"),
        await iperf(namespace, "-c", "fd66::2", "-n", "32M", "-P", "8"),
        await iperf(namespace, "-c", "fd66::2", "-n", "32M", "-P", "8", "-R"),
      ];
      console.log(
        `TOE over TAP: ${figures.map((f) => (f / 1e6).toFixed(0)).join(", ")} Mb/s (in, out, in by 8, out by 8)`,
      );
      for (const figure of figures) expect(figure).toBeGreaterThan(1e7);
    }
    const shark = async (filter: string) =>
      (
        await run(requireTool("tshark"), ["-r", capture, "-Y", filter, "-T", "fields", "-e", "frame.number"])
      ).output.trim();
    expect((await shark("tcp")).split("\n").length).toBeGreaterThan(10_000);
    expect(await shark("_ws.malformed")).toBe("");
    // Of the expert's warnings on what the guest sends only a reset after an abort is expected.
    const warnings =
      "ip.src == 10.66.0.2 && _ws.expert.severity >= 0x600000 && !tcp.connection.rst && !tcp.analysis.window_full";
    expect(await shark(warnings)).toBe("");
    rmSync(folder, { recursive: true });
  });

  it("200 connections at once, each with bytes of its own", async () => {
    using namespace = new Namespace("many", HOST);
    await using _session = await serve(namespace, {});
    const { code, output } = await run(
      ...namespace.command(process.execPath, CLIENTS, "10.66.0.2", "7", "200", "20000"),
    );
    expect(output).toContain("200 open");
    expect(output).toContain("200 good");
    expect(code).toBe(0);
  });

  it.each([
    ["1 % loss", ",loss=1%"],
    // Bursts of 2 and more have no mean time: each repetition takes twice as long as the one before, and is lost with 1 - 1 / burst.
    ["5 % loss in bursts", ",loss=5%,burst=1.5"],
    ["a quarter overtaken", ",reorder=25%,reorder-delay=2ms"],
    ["20 ms delay with jitter, 0.5 % loss, duplicates", ",delay=20ms,jitter=2ms,loss=0.5%,duplicate=1%"],
  ])("a line with %s, both ways: the file arrives whole, iperf3 runs both ways, 50 connections", async (name, line) => {
    using namespace = new Namespace("line", HOST);
    await using _session = await serve(namespace, { file: 4, line });
    expect(await fetchFile(namespace, "10.66.0.2", 150)).toBe(fileHash(4));
    const inward = await iperf(namespace, "-c", "10.66.0.2", "-t", "2");
    const outward = await iperf(namespace, "-c", "fd66::2", "-t", "2", "-R");
    console.log(`TOE, ${name}: ${(inward / 1e6).toFixed(1)} Mb/s in, ${(outward / 1e6).toFixed(1)} out`);
    expect(Math.min(inward, outward)).toBeGreaterThan(1e5);
    const { output } = await run(...namespace.command(process.execPath, CLIENTS, "10.66.0.2", "7", "50", "20000"));
    expect(output).toContain("50 good");
  });
});
