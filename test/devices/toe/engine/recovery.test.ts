import { describe, expect, it } from "vitest";
import { OPENED, OPENED_SACK, Script } from "./script.ts";

const script = (text: string) => new Script().run(text);

/** Ten segments of 1000 bytes out: the initial window of RFC 6928 for an MSS of 1000. */
const TEN = `
  0.3   send 20000 = 20000
  0.3   > . 1:1001(1000) ack 1
  0.3   > . 1001:2001(1000) ack 1
  0.3   > . 2001:3001(1000) ack 1
  0.3   > . 3001:4001(1000) ack 1
  0.3   > . 4001:5001(1000) ack 1
  0.3   > . 5001:6001(1000) ack 1
  0.3   > . 6001:7001(1000) ack 1
  0.3   > . 7001:8001(1000) ack 1
  0.3   > . 8001:9001(1000) ack 1
  0.3   > . 9001:10001(1000) ack 1
`;

describe("windows (RFC 5681, RFC 6928)", () => {
  it("RFC 6928 2: ten segments to begin with; RFC 5681 3.1: slow start lets two go for one acknowledged", () => {
    script(`${OPENED}${TEN}
      0.4   < . 1:1(0) ack 1001 win 32000
      0.4   > . 10001:11001(1000) ack 1
      0.4   > . 11001:12001(1000) ack 1
      0.4   < . 1:1(0) ack 3001 win 32000
      0.4   > . 12001:13001(1000) ack 1
      0.4   > . 13001:14001(1000) ack 1
      0.4   > . 14001:15001(1000) ack 1
      0.4   > . 15001:16001(1000) ack 1
    `);
  });
});

describe("acknowledgments on data that has come already (RFC 9293 3.10.7.4)", () => {
  it("a segment sent again is answered, and what it acknowledges lets more out", () => {
    const ten = (from: number) =>
      Array.from({ length: 10 }, (_, n) => {
        const at = from + 1000 * n;
        return `> ${at === 19001 ? "P." : "."} ${at}:${at + 1000}(1000) ack 501`;
      });
    script(`${OPENED}
      0.25  < P. 1:501(500) ack 1 win 32000
      0.29  > . 1:1(0) ack 501
      0.3   send 20000 = 20000
      ${ten(1)
        .map((line) => `0.3 ${line}`)
        .join("\n")}
      0.4   < P. 1:501(500) ack 10001 win 32000
      ${ten(10001)
        .map((line) => `0.4 ${line}`)
        .join("\n")}
      0.4   > . 20001:20001(0) ack 501
    `);
  });
});

describe("retransmission time-out (RFC 6298)", () => {
  it("2.2, 5.4 to 5.7: SRTT + 4 RTTVAR after the first sample of 100 ms is 300 ms; then 600, 1200; slow start from one segment", () => {
    script(`${OPENED}${TEN}
      0.6   > . 1:1001(1000) ack 1
      1.2   > . 1:1001(1000) ack 1
      2.4   > . 1:1001(1000) ack 1
      2.5   < . 1:1(0) ack 1001 win 32000
      2.5   > . 1001:2001(1000) ack 1
      2.5   > . 2001:3001(1000) ack 1
      2.6   < . 1:1(0) ack 3001 win 32000
      2.6   > . 3001:4001(1000) ack 1
      2.6   > . 4001:5001(1000) ack 1
      2.6   > . 5001:6001(1000) ack 1
      2.6   > . 6001:7001(1000) ack 1
    `);
  });
  it("2.4: the least time-out can be the recommended second", () => {
    new Script({ minimumRto: 1e10 }).run(`${OPENED}
      0.3   send 100
      0.3   > P. 1:101(100) ack 1
      1.3   > P. 1:101(100) ack 1
    `);
  });
  it("RFC 6675 5.1: what was SACKed before the time-out is not sent again", () => {
    script(`${OPENED_SACK}${TEN}
      0.4   < . 1:1(0) ack 1 win 32000 <sack 2001:3001>
      0.4   > . 10001:11001(1000) ack 1
      // RFC 8985 6.3.
      0.425 > . 1:1001(1000) ack 1
      0.725 > . 1:1001(1000) ack 1
      0.8   < . 1:1(0) ack 1001 win 32000 <sack 2001:3001>
      0.8   > . 1001:2001(1000) ack 1
      0.8   > . 3001:4001(1000) ack 1
    `);
  });
});

describe("fast retransmit and recovery", () => {
  it("RFC 3042: a new segment for each of the first two duplicates; RFC 5681 3.2: the missing one at the third", () => {
    script(`${OPENED}${TEN}
      0.4   < . 1:1(0) ack 1 win 32000
      0.4   > . 10001:11001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000
      0.4   > . 11001:12001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000
      0.4   > . 1:1001(1000) ack 1
    `);
  });
  it("RFC 6582 3.2: a partial acknowledgment sends the next hole at once; a full one ends recovery", () => {
    new Script().run(`
      0     listen 5 congestion:0
      0.1   < S 0:0(0) win 32000 <mss 1000>
      0.1   > S. 0:0(0) ack 1
      0.2   < . 1:1(0) ack 1 win 32000
      0.2   accept = done
      ${TEN}
      0.4   < . 1:1(0) ack 1 win 32000
      0.4   > . 10001:11001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000
      0.4   > . 11001:12001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000   // ssthresh = 12000 / 2, cwnd = 6000 + 3000
      0.4   > . 1:1001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000   // 10000
      0.4   < . 1:1(0) ack 1 win 32000   // 11000
      0.4   < . 1:1(0) ack 1 win 32000   // 12000
      0.4   < . 1:1(0) ack 1 win 32000   // 13000: one more goes
      0.4   > . 12001:13001(1000) ack 1
      0.5   < . 1:1(0) ack 3001 win 32000
      0.5   > . 3001:4001(1000) ack 1
      0.5   > . 13001:14001(1000) ack 1
      0.6   < . 1:1(0) ack 13001 win 32000
      0.6   > . 14001:15001(1000) ack 1
    `);
  });
  it("RFC 6675 5: the first hole at the third duplicate, further holes as the pipe drains, none twice", () => {
    script(`${OPENED_SACK}${TEN}
      0.4   < . 1:1(0) ack 1 win 32000 <sack 1001:2001>
      0.4   > . 10001:11001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000 <sack 1001:2001 3001:4001>
      0.4   > . 11001:12001(1000) ack 1
      0.4   < . 1:1(0) ack 1 win 32000 <sack 1001:2001 3001:5001>
      0.4   > . 1:1001(1000) ack 1
      // The window is 7000 of 10000 (CUBIC); 9000, then 7000, then 6000 are in the pipe.
      0.4   < . 1:1(0) ack 1 win 32000 <sack 1001:2001 3001:6001>
      0.41  < . 1:1(0) ack 1 win 32000 <sack 1001:2001 3001:7001>
      0.41  > . 2001:3001(1000) ack 1
      0.5   < . 1:1(0) ack 2001 win 32000 <sack 3001:7001>
      0.5   > . 12001:13001(1000) ack 1
      0.6   < . 1:1(0) ack 2001 win 32000 <sack 3001:9001>
      0.6   > . 13001:14001(1000) ack 1
      0.6   > . 14001:15001(1000) ack 1
    `);
  });
  it("RFC 2018, RFC 6675: SACK blocks outside what is out are passed over", () => {
    script(`${OPENED_SACK}${TEN}
      0.4   < . 1:1(0) ack 1 win 32000 <sack 20001:30001>
      0.4   < . 1:1(0) ack 1 win 32000 <sack 5001:4001>
      0.4   < . 1:1(0) ack 1 win 32000 <sack 4000000000:4000001000>
    `).quiet(0.49);
  });
});

describe("explicit congestion notification (RFC 3168)", () => {
  const ECN = `
    0     listen 5 ecn:1
    0.1   < SEW 0:0(0) win 32000 <mss 1000>
    0.1   > ES. 0:0(0) ack 1
    0.2   < . 1:1(0) ack 1 win 32000
    0.2   accept = done
  `;
  it("6.1.1: ECN-setup SYN and SYN-ACK; 6.1.2: data carries ECT(0), acknowledgments and what is sent again do not", () => {
    script(`${ECN}
      0.3   send 100
      0.3   > P. 1:101(100) ack 1 [ect0]
      0.6   > P. 1:101(100) ack 1 [not]
    `);
    script(`
      0     connect ecn:1
      0     > EWS 0:0(0)
      0.1   < SE. 0:0(0) ack 1 win 32000
      0.1   > . 1:1(0) ack 1 [not]
      0.2   send 100
      0.2   > P. 1:101(100) ack 1 [ect0]
    `);
    script(`
      0     connect
      0     > S 0:0(0)
    `);
  });
  it("6.1.3: congestion experienced is echoed until CWR", () => {
    script(`${ECN}
      0.3   < P. 1:101(100) ack 1 win 32000 [ce]
      0.34  > E. 1:1(0) ack 101 [not]
      0.4   < P. 101:201(100) ack 1 win 32000 [ect0]
      0.44  > E. 1:1(0) ack 201
      0.5   < PW. 201:301(100) ack 1 win 32000 [ect0]
      0.54  > . 1:1(0) ack 301
    `);
  });
  it("6.1.2: an echo reduces the window once a round trip, and the next new data says so", () => {
    script(`${ECN}${TEN}
      0.4   < E. 1:1(0) ack 5001 win 32000   // window 7 of 10
      0.4   > W. 10001:11001(1000) ack 1
      0.4   > . 11001:12001(1000) ack 1
      0.4   < E. 1:1(0) ack 6001 win 32000
      0.4   > . 12001:13001(1000) ack 1
    `);
  });
});

describe("timestamps (RFC 7323)", () => {
  const STAMPED = `
    0     listen 5
    0.1   < S 0:0(0) win 32000 <mss 1000,TS val 1000 ecr 0>
    0.1   > S. 0:0(0) ack 1
    0.2   < . 1:1(0) ack 1 win 32000 <TS val 1100 ecr last>
    0.2   accept = done
  `;
  it("5.3 R1: an older timestamp is answered with an acknowledgment and the data dropped", () => {
    script(`${STAMPED}
      0.3   < P. 1:11(10) ack 1 win 32000 <TS val 1200 ecr last>
      0.34  > . 1:1(0) ack 11
      0.4   < P. 11:21(10) ack 1 win 32000 <TS val 1150 ecr last>
      0.4   > . 1:1(0) ack 11
      0.5   recv 100 = 10
    `);
  });
  it("3.2: a segment without the option is dropped once it was agreed on, RST is not", () => {
    script(`${STAMPED}
      0.3   < P. 1:11(10) ack 1 win 32000
      0.4   recv 100 = would-block
      0.5   < R 1:1(0) win 0
      0.5   state = CLOSED
    `);
  });
  it("appendix D: a segment's data is twelve bytes shorter for the option", () => {
    script(`${STAMPED}
      0.3   send 1500 = 1500
      0.3   > . 1:989(988) ack 1
    `);
  });
});

describe("SYN flood (RFC 4987)", () => {
  it("3.6: beyond the backlog cookies answer; their acknowledgment opens, an invented one is refused", () => {
    const s = new Script();
    s.run("0 listen 1");
    s.inject("S 0:0(0) win 32000 <mss 1400>");
    s.simulation.run(0);
    const statistics = () => s.stack.statistics;
    expect(s.sent.splice(0)).toHaveLength(1);
    // A thousand others from as many ports, none of which ever answers.
    for (let port = 0; port < 1000; port++) {
      const frame = s.build("S 0:0(0) win 32000 <mss 1400>");
      // The checksum's change is the port's: 4000 becomes 10000 + port.
      const sum = ((frame[50] << 8) | frame[51]) - (6000 + port);
      const check = sum < 0 ? sum - 1 : sum;
      frame[50] = (check >> 8) & 255;
      frame[51] = check & 255;
      frame[34] = (10_000 + port) >> 8;
      frame[35] = 10_000 + port;
      s.stack.input(frame);
    }
    expect(s.sent).toHaveLength(1000);
    expect(statistics()["tcpCookiesSent"]).toBe(1000);
    expect(s.stack.bufferBytes).toBe(0);
  });
  it("3.6: a connection made of a cookie has the MSS and the options of its SYN", () => {
    const s = new Script();
    s.run("0 listen 1");
    // Another peer's SYN takes the only place.
    const other = s.build("S 5:5(0) win 32000");
    other[35] ^= 1;
    const sum = ((other[50] << 8) | other[51]) - 1;
    other[50] = sum >> 8;
    other[51] = sum;
    s.stack.input(other);
    s.simulation.run(0);
    expect(s.sent.splice(0)).toHaveLength(1);
    s.run(`
      0.1   < S 0:0(0) win 32000 <mss 1300,sackOK,TS val 100 ecr 0,wscale 4>
      0.1   > S. 0:0(0) ack 1
      0.2   < . 1:1(0) ack 1 win 2000 <TS val 200 ecr last>
      0.2   accept = done
    `);
    expect(s.stack.statistics["tcpCookiesAccepted"]).toBe(1);
    expect(s.stack.getOption(s.socket, "mss")).toEqual({ ok: true, value: 1288 });
    expect(s.stack.getOption(s.socket, "sack")).toEqual({ ok: true, value: 1 });
    expect(s.stack.getOption(s.socket, "window-scale")).toEqual({ ok: true, value: 1 });
    s.run(`
      0.3   send 15000 = 15000
      0.3   > . 1:1289(1288) ack 1
    `);
  });
});

describe("a reader that reads no more", () => {
  it("RFC 2018 4: after shutdown of receiving early data is acknowledged selectively still, and counts when the gap is filled", () => {
    const s = script(`${OPENED_SACK}
      0.3   < P. 2001:3001(1000) ack 1 win 32000
      0.3   > . 1:1(0) ack 1 <sack 2001:3001>
      0.4   shutdown receive
      0.5   < P. 3001:4001(1000) ack 1 win 32000
      0.5   > . 1:1(0) ack 1 <sack 3001:4001>
      0.6   < P. 5001:6001(1000) ack 1 win 32000
      0.6   > . 1:1(0) ack 1 <sack 5001:6001 3001:4001>
      0.7   < P. 1:3001(3000) ack 1 win 32000
      0.7   > . 1:1(0) ack 4001 <sack 5001:6001>
      0.8   < P. 4001:5001(1000) ack 1 win 32000
      0.8   > . 1:1(0) ack 6001
      0.9   recv 100 = 0
    `);
    expect(s.stack.bufferBytes).toBe(0);
  });
});
