/** Tail loss probes, the reordering timer, and retransmissions lost again: RFC 8985. SRTT is 100 ms, RTO 300 ms. */
import { describe, expect, it } from "vitest";
import { MS, SEC } from "../../../../src/sim/index.ts";
import { connected, pair, stream } from "./pair.ts";
import { OPENED, OPENED_SACK, Script } from "./script.ts";

const script = (text: string) => new Script().run(text);

const THREE = `
  0.3   send 3000 = 3000
  0.3   > . 1:1001(1000) ack 1
  0.3   > . 1001:2001(1000) ack 1
  0.3   > P. 2001:3001(1000) ack 1
`;

describe("tail loss probe (RFC 8985 7)", () => {
  it("7.2, 7.3: after two round trips the last segment goes out again; its SACK shows the others lost, before any time-out", () => {
    script(`${OPENED_SACK}${THREE}
      0.5   > P. 2001:3001(1000) ack 1
      0.6   < . 1:1(0) ack 1 win 32000 <sack 2001:3001>
      0.6   > . 1:1001(1000) ack 1
      0.6   > . 1001:2001(1000) ack 1
    `);
  });
  it("7.3: new data is the probe where there is some, whatever the congestion window says", () => {
    script(`${OPENED_SACK}
      0.3   send 2500 = 2500
      0.3   > . 1:1001(1000) ack 1
      0.3   > . 1001:2001(1000) ack 1
      0.5   > P. 2001:2501(500) ack 1
    `);
  });
  it("7.2: one probe; the time-out counts from it", () => {
    script(`${OPENED_SACK}${THREE}
      0.5   > P. 2001:3001(1000) ack 1
      0.8   > . 1:1001(1000) ack 1
    `);
  });
  it("7.2: none without SACK, and 200 ms later where one segment is out, whose acknowledgment may be delayed", () => {
    script(`${OPENED}${THREE}
      0.6   > . 1:1001(1000) ack 1
    `);
    script(`${OPENED_SACK}
      0.3   send 1000
      0.3   > P. 1:1001(1000) ack 1
      0.6   > P. 1:1001(1000) ack 1
    `);
  });
  it("7.4: a probe that has only been a second copy leaves the congestion window as it is", () => {
    script(`${OPENED_SACK}${THREE}
      0.5   > P. 2001:3001(1000) ack 1
      0.51  < . 1:1(0) ack 3001 win 32000
      0.52  < . 1:1(0) ack 3001 win 32000 <sack 2001:3001>
      0.6   send 20000
      0.6   > . 3001:4001(1000) ack 1
      0.6   > . 4001:5001(1000) ack 1
      0.6   > . 5001:6001(1000) ack 1
      0.6   > . 6001:7001(1000) ack 1
      0.6   > . 7001:8001(1000) ack 1
      0.6   > . 8001:9001(1000) ack 1
      0.6   > . 9001:10001(1000) ack 1
      0.6   > . 10001:11001(1000) ack 1
      0.6   > . 11001:12001(1000) ack 1
      0.6   > . 12001:13001(1000) ack 1
    `);
  });
  it("7.4: a loss that the probe has made good is congestion: seven segments of ten go out (CUBIC)", () => {
    script(`${OPENED_SACK}${THREE}
      0.5   > P. 2001:3001(1000) ack 1
      0.51  < . 1:1(0) ack 2001 win 32000
      0.6   < . 1:1(0) ack 3001 win 32000
      0.7   send 1000
      0.7   > P. 3001:4001(1000) ack 1
      0.8   < . 1:1(0) ack 4001 win 32000
      0.9   send 20000
      0.9   > . 4001:5001(1000) ack 1
      0.9   > . 5001:6001(1000) ack 1
      0.9   > . 6001:7001(1000) ack 1
      0.9   > . 7001:8001(1000) ack 1
      0.9   > . 8001:9001(1000) ack 1
      0.9   > . 9001:10001(1000) ack 1
      0.9   > . 10001:11001(1000) ack 1
    `);
  });
});

describe("lost, overtaken, and lost again (RFC 8985 6)", () => {
  it("6.3: one segment SACKed, and no more comes: after a quarter of a round trip what is missing before it is sent again", () => {
    script(`${OPENED_SACK}${THREE}
      0.4   < . 1:1(0) ack 1 win 32000 <sack 1001:2001>
      0.425 > . 1:1001(1000) ack 1
    `);
  });
  it("6.3: what turns up in that time was only overtaken", () => {
    script(`${OPENED_SACK}${THREE}
      0.4   < . 1:1(0) ack 1 win 32000 <sack 1001:2001>
      0.42  < . 1:1(0) ack 2001 win 32000
      0.5   < . 1:1(0) ack 3001 win 32000
    `).quiet(3);
  });
  it("6.2: a retransmission is lost again when something sent after it has arrived, a round trip and a quarter later", () => {
    script(`${OPENED_SACK}
      0.3   send 6000
      0.3   > . 1:1001(1000) ack 1
      0.3   > . 1001:2001(1000) ack 1
      0.3   > . 2001:3001(1000) ack 1
      0.3   > . 3001:4001(1000) ack 1
      0.3   > . 4001:5001(1000) ack 1
      0.3   > P. 5001:6001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000 <sack 3001:6001>
      0.4   > . 1:1001(1000) ack 1
      0.4   > . 1001:2001(1000) ack 1
      0.4   > . 2001:3001(1000) ack 1
      0.41  send 1000
      0.41  > P. 6001:7001(1000) ack 1
      0.5   < . 1:1(0) ack 1 win 32000 <sack 1001:2001 3001:6001>
      // RFC 6675 4, rule (4) of NextSeg().
      0.5   > P. 6001:7001(1000) ack 1
      0.53  < . 1:1(0) ack 1 win 32000 <sack 6001:7001 1001:2001 3001:6001>
      0.53  > . 1:1001(1000) ack 1
      0.63  < . 1:1(0) ack 7001 win 32000
    `).quiet(3);
  });
});

describe("lines that lose", () => {
  const transfer = (loss: number, delay: number) => {
    let timeouts = 0;
    for (let seed = 1; seed <= 4; seed++) {
      const p = pair({ rate: 1e9, delay, loss, seed });
      const { client, server } = connected(p);
      const s = stream(p.a, client, p.b, server, 1_000_000);
      for (let i = 0; i < 600 && !s.ended; i++) p.simulation.run(p.simulation.now + SEC / 10);
      expect(s).toEqual({ sent: 1_000_001, received: 1_000_000, wrong: 0, ended: true });
      timeouts += p.a.stack.statistics["tcpTimeouts"] ?? Number.NaN;
    }
    return timeouts;
  };
  it("1 % at 2 ms: no time-out in 4 MB; 5 % at 20 ms: no more than ten", () => {
    expect(transfer(100, MS)).toBe(0);
    expect(transfer(500, 10 * MS)).toBeLessThanOrEqual(10);
  });
});
