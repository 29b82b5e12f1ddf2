/**
 * The TOE and a second TCP without root: Debian's Linux as a guest in another process, at the other end of a socket. Where the line is bad, one Linux with a
 * card for each line has a server at the end of each.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, cli, ROOT, requireGuest, requireTool } from "./support/machines.ts";
import { run, type Session } from "./support/session.ts";
import { fileHash, TOE_IMAGE } from "./support/toe.ts";

/** Lines by number: card n has the address 52:54:00:00:01:0n, Linux 10.66.n.1, the TOE 10.66.n.2. */
const LINES = [
  ["loss=1%", ""],
  ["reorder=25%", ",reorder-delay=2ms"],
  ["delay=10ms", ",jitter=1ms"],
] as const;

/** Each card gets its addresses by its number. `get HOST` fetches the file, `both HOST` runs iperf3 in both directions. */
const COMMON = `
for d in /sys/class/net/eth*; do
  n=$(sed 's/.*:0*//' $d/address); e=\${d##*/}
  /usr/bin/ip addr add 10.66.$n.1/24 dev $e; /usr/bin/ip addr add fd66:$n::1/64 dev $e nodad; /usr/bin/ip link set $e up
done
sleep 1
get() { echo "FILE $(wget -q -O - http://$1/file | sha256sum)"; }
# A server is busy until the last test's end has reached it.
one() { for i in 1 2 3 4 5; do iperf3 -c $1 -f m $2 $3 $4 > /tmp/log && break; sleep 1; done; grep receiver /tmp/log; }
both() { echo "IN $(one $1 $2 $3)"; echo "OUT $(one $1 $2 $3 -R)"; }
`;
const SCRIPTS = {
  clean: `${COMMON}
ping -c 2 10.66.1.2 | grep received; ping -c 2 fd66:1::2 | grep received
wget -q -O - http://10.66.1.2/; wget -q -O - http://[fd66:1::2]/index.html
get 10.66.1.2; get [fd66:1::2]
both 10.66.1.2 -n 8M; both fd66:1::2 -n 8M
echo-clients 10.66.1.2 7 100 20000; echo-clients fd66:1::2 7 60 20000
`,
  lines: `${COMMON}
for n in ${LINES.map((_, n) => n + 1).join(" ")}; do
  echo LINE $n
  get 10.66.$n.2; both fd66:$n::2 -t 1; echo-clients 10.66.$n.2 7 50 5000
done
`,
};

class Bench implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "armature-toe-"));
  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
  /** A server at the end of line `n`. */
  async server(n: number, line = "", ...more: string[]): Promise<Session> {
    const addresses = `toe.ip=10.66.${n}.2/24 toe.ip=fd66:${n}::2/64 toe.file=4`;
    const session = cli(
      ...["run", "-M", "virt", "-m", "256", "-nographic", "-kernel", TOE_IMAGE, "-append", addresses],
      ...["-netdev", `stream,id=n,server=on,addr.type=unix,addr.path=${this.folder}/s${n}${line}`],
      ...["-device", "toe,netdev=n", ...more],
    );
    await session.expect("iperf3 at port 5201, IPv6", 60);
    return session;
  }
  /** Linux with a card for each line. Gives what a script has printed. */
  async linux(test: keyof typeof SCRIPTS, lines: number, seconds: number): Promise<string> {
    const program = join(this.folder, "echo-clients");
    execFileSync(requireTool("aarch64-linux-gnu-gcc"), [
      ...["-O2", "-Wall", "-Werror", "-static", "-o", program],
      join(ROOT, "test/guests/programs/echo-clients.c"),
    ]);
    const files = { "bin/echo-clients": readFileSync(program) };
    using initramfs = new Initramfs(SCRIPTS, files, "initrd-full.cpio.gz");
    const cards = Array.from({ length: lines }, (_, i) => i + 1).flatMap((n) => [
      ...["-netdev", `stream,id=n${n},addr.type=unix,addr.path=${this.folder}/s${n},reconnect-ms=100`],
      ...["-device", `virtio-net-device,netdev=n${n},mac=52:54:00:00:01:0${n}`],
    ]);
    const append = `console=ttyAMA0 quiet vptest=${test} vpmods=virtio_mmio,virtio_net`;
    await using session = armature.start([
      ...["-nographic", "-m", "512M", "-kernel", requireGuest("vmlinuz"), "-initrd", initramfs.path],
      ...["-append", append, ...cards],
    ]);
    await session.expect(`VP-TEST-END ${test}`, seconds);
    const output = session.output.replaceAll("\r", "");
    return output.slice(output.indexOf(`VP-TEST-BEGIN ${test}`));
  }
}

/** Megabits a second of each iperf3 run, as its receiver saw it. */
function rates(output: string, way: "IN" | "OUT"): number[] {
  return [...output.matchAll(new RegExp(`^${way} .* ([0-9.]+) Mbits/sec`, "gm"))].map((m) => Number(m[1]));
}

describe("the TOE and Debian's Linux as its peer", () => {
  it("page and 4 MiB file over IPv4 and IPv6, iperf3 both ways, 100 connections at once; the capture is well formed", async () => {
    using bench = new Bench();
    const capture = join(bench.folder, "capture");
    let output = "";
    {
      await using server = await bench.server(1, "", "-object", `filter-dump,id=f,netdev=n,file=${capture},maxlen=128`);
      output = await bench.linux("clean", 1, 150);
      expect(server.errors).not.toContain("guest error");
    }
    expect(output.match(/2 packets received/g)).toHaveLength(2);
    expect(output.match(/<h1>A bare-metal web server<\/h1>/g)).toHaveLength(2);
    const hashes = [...output.matchAll(/^FILE ([0-9a-f]{64})/gm)].map((m) => m[1]);
    expect(hashes).toEqual([fileHash(4), fileHash(4)]);
    const [inward, outward] = [rates(output, "IN"), rates(output, "OUT")];
    console.log(`TOE and Linux: ${inward.join(", ")} Mb/s in, ${outward.join(", ")} out`);
    expect([inward.length, outward.length]).toEqual([2, 2]);
    for (const rate of [...inward, ...outward]) expect(rate).toBeGreaterThan(1);
    expect(output).toMatch(/100 open\n100 good\n60 open\n60 good\n/);
    const shark = async (filter: string) => {
      const fields = ["frame.number", "tcp.flags.str", "_ws.expert.message"].flatMap((name) => ["-e", name]);
      // Frames are cut short, which says nothing to those who read HTTP.
      const options = ["-r", capture, "--disable-protocol", "http", "--disable-protocol", "thrift", "-Y", filter];
      const { code, output: text } = await run(requireTool("tshark"), [...options, "-T", "fields", ...fields]);
      expect(code).toBe(0);
      return text.trim();
    };
    expect((await shark("tcp")).split("\n").length).toBeGreaterThan(3000);
    expect(await shark("_ws.malformed")).toBe("");
    // Warnings about the TOE's frames: a full window is the peer's matter, and what the capture lacks cannot be missed on a good line.
    const mine = "(ip.src == 10.66.1.2 || ipv6.src == fd66:1::2)";
    expect(
      await shark(`${mine} && _ws.expert.severity >= 0x600000 && !tcp.connection.rst && !tcp.analysis.window_full`),
    ).toBe("");
    expect(await shark(`${mine} && (tcp.checksum.status == 0 || ip.checksum.status == 0)`)).toBe("");
  });

  it(`lines with ${LINES.map(([name]) => name).join(", ")}: the file arrives whole, iperf3 runs both ways, 50 connections`, async () => {
    using bench = new Bench();
    await using stack = new AsyncDisposableStack();
    for (const [i, [first, more]] of LINES.entries()) stack.use(await bench.server(i + 1, `,${first}${more}`));
    const output = await bench.linux("lines", LINES.length, 170);
    const parts = output.split(/^LINE \d+$/m).slice(1);
    expect(parts).toHaveLength(LINES.length);
    for (const [i, part] of parts.entries()) {
      const [name, more] = LINES[i] ?? ["", ""];
      const [inward = 0, outward = 0] = [...rates(part, "IN"), ...rates(part, "OUT")];
      console.log(`TOE and Linux, ${name}${more}: ${inward} Mb/s in, ${outward} out`);
      expect(part, name).toContain(`FILE ${fileHash(4)}`);
      expect(Math.min(inward, outward), name).toBeGreaterThan(0.05);
      expect(part, name).toMatch(/50 open\n50 good\n/);
    }
  });
});
