import { describe, expect, it } from "vitest";
import {
  EVENT_CLOSED,
  EVENT_CONNECTED,
  EVENT_ERROR,
  EVENT_PEER_CLOSED,
} from "../../../../src/devices/toe/engine/api.ts";
import { OPENED, OPENED_SACK, Script } from "./script.ts";

const script = (text: string) => new Script().run(text);

describe("opening (RFC 9293 3.5)", () => {
  it("3.5 figure 6: active open, all options offered, then data may be sent at once", () => {
    const s = script(`
      0     connect = done
      0     > S 0:0(0) win 65535 <mss 1460,sackOK,wscale 3>
      0.1   < S. 0:0(0) ack 1 win 20000 <mss 1200,sackOK,TS val 50 ecr last,wscale 2>
      0.1   > . 1:1(0) ack 1
      0.2   state = ESTABLISHED
      0.2   send 100 = 100
      0.2   > P. 1:101(100) ack 1
    `);
    expect(s.told[s.socket] & EVENT_CONNECTED).toBe(EVENT_CONNECTED);
  });
  it("3.5 figure 6, passive: SYN-ACK tells only what the SYN offered (RFC 7323 2.2, RFC 2018 2)", () => {
    script(`
      0     listen 5
      0.1   < S 0:0(0) win 32000 <mss 1000,wscale 7>
      0.1   > S. 0:0(0) ack 1 win 65535 <mss 1460,wscale 3>
    `);
    script(`
      0     listen 5
      0.1   < S 0:0(0) win 32000
      0.1   > S. 0:0(0) ack 1 win 65535 <mss 1460>
    `);
  });
  it("3.5 figure 7: both sides open at once", () => {
    script(`
      0     connect timestamps:0
      0     > S 0:0(0)
      0.1   < S 0:0(0) win 20000 <mss 1460>
      0.1   > S. 0:0(0) ack 1
      0.1   state = SYN-RECEIVED
      0.2   < S. 0:0(0) ack 1 win 20000 <mss 1460>
      0.2   state = ESTABLISHED
    `);
  });
  it("3.10.7.3: an ACK that acknowledges no SYN of ours is answered with RST, SYN-SENT goes on", () => {
    script(`
      0     connect timestamps:0
      0     > S 0:0(0)
      0.1   < . 7:7(0) ack 900 win 100
      0.1   > R 900:900(0)
      0.2   state = SYN-SENT
      0.3   < S. 0:0(0) ack 1 win 20000
      0.3   > . 1:1(0) ack 1
    `);
  });
  it("3.10.7.3: RST with a good ACK refuses, RST without is passed over", () => {
    const s = script(`
      0     connect
      0     > S 0:0(0)
      0.1   < R 0:0(0) win 0
      0.2   state = SYN-SENT
      0.3   < R. 0:0(0) ack 1 win 0
      0.3   state = CLOSED
      0.3   error = refused
    `);
    expect(s.told[s.socket]).toBe(EVENT_ERROR | EVENT_CLOSED);
  });
  it("RFC 6298 5.5, RFC 9293 3.8.3 R2: SYN again after 1, 2, 4, ... s, for at least 3 minutes", () => {
    script(`
      0     connect
      0     > S 0:0(0)
      1     > S 0:0(0)
      3     > S 0:0(0)
      7     > S 0:0(0)
      15    > S 0:0(0)
      31    > S 0:0(0)
      63    > S 0:0(0)
      123   > S 0:0(0)
      184   state = CLOSED
      184   error = timed-out
    `);
  });
  it("3.10.7.4: SYN received again is answered with the same SYN-ACK; RFC 6298: so does the timer", () => {
    script(`
      0     listen 5
      0.1   < S 0:0(0) win 32000
      0.1   > S. 0:0(0) ack 1
      0.5   < S 0:0(0) win 32000
      0.5   > S. 0:0(0) ack 1
      1.1   > S. 0:0(0) ack 1
    `);
  });
  it("3.10.7.1: a closed port answers SYN with RST, ACK with its number, RST not at all", () => {
    script(`
      0     < S 0:0(0) win 100
      0     > R. 0:0(0) ack 1
      0.1   < . 0:0(0) ack 77 win 100
      0.1   > R 77:77(0)
      0.2   < SF 0:10(10) win 100
      0.2   > R. 0:0(0) ack 12
      0.3   < R 0:0(0) win 100
    `).quiet(1);
  });
  it("3.10.7.2: a listener answers ACK with RST and passes over segments that are neither SYN nor ACK", () => {
    script(`
      0     listen 5
      0.1   < . 0:0(0) ack 50 win 100
      0.1   > R 50:50(0)
      0.2   < F 0:0(0) win 100
      0.3   < - 0:10(10) win 100
      0.4   < SF 0:0(0) win 100
    `).quiet(1);
  });
});

describe("data (RFC 9293 3.7, 3.8)", () => {
  it("RFC 1122 4.2.3.2: one segment is acknowledged after 40 ms, two full-sized ones at once", () => {
    script(`${OPENED}
      0.3   < P. 1:1001(1000) ack 1 win 32000
      0.34  > . 1:1(0) ack 1001
      0.4   < . 1001:2001(1000) ack 1 win 32000
      0.41  < . 2001:3001(1000) ack 1 win 32000
      0.41  > . 1:1(0) ack 3001
      0.5   recv 5000 = 3000
    `);
  });
  it("RFC 9293 3.7.4 (Nagle): a short piece waits while something is out; no-delay sends it", () => {
    script(`${OPENED}
      0.3   send 10 = 10
      0.3   > P. 1:11(10) ack 1
      0.31  send 20 = 20
      0.32  send 30 = 30
      0.4   < . 1:1(0) ack 11 win 32000
      0.4   > P. 11:61(50) ack 1
      0.5   option no-delay:1
      0.5   send 5 = 5
      0.5   > P. 61:66(5) ack 1
    `);
  });
  it("3.8.6.2.1: into a small window goes what is at least half of the largest seen; the rest waits", () => {
    script(`
      0     listen 5
      0.1   < S 0:0(0) win 1000 <mss 1000>
      0.1   > S. 0:0(0) ack 1
      0.2   < . 1:1(0) ack 1 win 1000
      0.2   accept = done
      0.3   send 1500 = 1500
      0.3   > . 1:1001(1000) ack 1
      0.4   < . 1:1(0) ack 1001 win 300
      0.5   < . 1:1(0) ack 1001 win 500
      0.5   > P. 1001:1501(500) ack 1
    `);
  });
  it("3.8.6.1: a closed window is probed with one octet, at doubling intervals, and the connection stays open", () => {
    script(`${OPENED}
      0.3   send 1000 = 1000
      0.3   > P. 1:1001(1000) ack 1
      0.4   < . 1:1(0) ack 1001 win 0
      0.5   send 500 = 500
      0.75  > . 1001:1002(1) ack 1
      0.76  < . 1:1(0) ack 1001 win 0
      1.25  > . 1001:1002(1) ack 1
      1.26  < . 1:1(0) ack 1001 win 0
      2.25  > . 1001:1002(1) ack 1
      2.7   < . 1:1(0) ack 1001 win 8000
      2.7   > P. 1001:1501(500) ack 1
    `);
  });
  it("3.8.6.1: a window that closes over what is out keeps the connection open as long as the peer answers", () => {
    const s = new Script().run(`${OPENED}
      0.3   send 1000 = 1000
      0.3   > P. 1:1001(1000) ack 1
    `);
    for (let i = 0; i < 60; i++) {
      s.simulation.run(s.simulation.now + 60e10);
      expect(s.sent.splice(0).length).toBeGreaterThan(0);
      s.inject(". 1:1(0) ack 1 win 0");
    }
    s.run("+3700 state = ESTABLISHED".replace("+3700", String(s.simulation.now / 1e10)));
  });
  it("3.10.7.4 first: segments outside the window are answered with an acknowledgment and change nothing", () => {
    script(`${OPENED}
      0.3   < . 400001:400101(100) ack 1 win 32000
      0.3   > . 1:1(0) ack 1
      0.4   < P. 1:101(100) ack 1 win 32000
      0.44  > . 1:1(0) ack 101
      0.5   < P. 1:101(100) ack 1 win 32000
      0.5   > . 1:1(0) ack 101
      0.6   recv 1000 = 100
    `);
  });
  it("3.4: a segment that overlaps what has come is cut on the left; the first copy counts", () => {
    const s = script(`${OPENED}
      0.3   < P. 1:101(100) ack 1 win 32000
      0.34  > . 1:1(0) ack 101
      0.4   < P. 51:201(150) ack 1 win 32000
      0.4   > . 1:1(0) ack 201
      0.5   recv 1000 = 200
    `);
    expect(s.data).toEqual(Array.from({ length: 200 }, (_, i) => (i + 1) & 0xff));
  });
  it("RFC 5681 4.2, RFC 2018 4: a gap is answered at once with SACK, the most recent block first, and again when it is filled", () => {
    const s = script(`${OPENED_SACK}
      0.3   < . 1001:2001(1000) ack 1 win 32000
      0.3   > . 1:1(0) ack 1 <sack 1001:2001>
      0.3   < . 3001:4001(1000) ack 1 win 32000
      0.3   > . 1:1(0) ack 1 <sack 3001:4001 1001:2001>
      0.3   < . 5001:6001(1000) ack 1 win 32000
      0.3   > . 1:1(0) ack 1 <sack 5001:6001 3001:4001 1001:2001>
      0.3   < . 2001:3001(1000) ack 1 win 32000
      0.3   > . 1:1(0) ack 1 <sack 1001:4001 5001:6001>
      0.4   < . 1:1001(1000) ack 1 win 32000
      0.4   > . 1:1(0) ack 4001 <sack 5001:6001>
      0.5   < . 4001:5001(1000) ack 1 win 32000
      0.5   > . 1:1(0) ack 6001 <>
      0.6   recv 9000 = 6000
    `);
    expect(s.data.every((byte, i) => byte === ((i + 1) & 0xff))).toBe(true);
  });
  it("RFC 9293 3.8.5, RFC 6093: urgent data is data, whatever the pointer says", () => {
    script(`${OPENED}
      0.3   < U. 1:101(100) ack 1 win 32000
      0.34  > . 1:1(0) ack 101
      0.4   recv 1000 = 100
    `);
  });
  it("3.8.4: keep-alive probes after the idle time, and the end after the last", () => {
    const s = script(`${OPENED}
      1     option keep-interval:5
      1     option keep-count:2
      1     option keep-idle:10
      1     option keep-alive:1
      10.2  > . 0:0(0) ack 1
      10.3  < . 1:1(0) ack 1 win 32000
      20.3  > . 0:0(0) ack 1
      25.3  > . 0:0(0) ack 1
      30.3  > R. 1:1(0) ack 1
      30.4  error = timed-out
    `);
    s.quiet(60);
  });
});

describe("closing (RFC 9293 3.6)", () => {
  it("figure 12: this side first, TIME-WAIT for 60 s", () => {
    script(`${OPENED}
      0.3   shutdown = done
      0.3   > F. 1:1(0) ack 1
      0.3   state = FIN-WAIT-1
      0.4   < . 1:1(0) ack 2 win 32000
      0.4   state = FIN-WAIT-2
      0.5   < P. 1:51(50) ack 2 win 32000
      0.54  > . 2:2(0) ack 51
      0.55  recv 100 = 50
      0.6   < F. 51:51(0) ack 2 win 32000
      0.6   > . 2:2(0) ack 52
      0.6   state = TIME-WAIT
      0.7   recv 100 = 0
      0.8   < F. 51:51(0) ack 2 win 32000
      0.8   > . 2:2(0) ack 52
      60.7  state = TIME-WAIT
      60.9  state = CLOSED
    `);
  });
  it("the peer first: CLOSE-WAIT, LAST-ACK, CLOSED", () => {
    const s = script(`${OPENED}
      0.3   < F. 1:1(0) ack 1 win 32000
      0.3   > . 1:1(0) ack 2
      0.3   state = CLOSE-WAIT
      0.3   recv 100 = 0
      0.4   send 10 = 10
      0.4   > P. 1:11(10) ack 2
      0.5   shutdown
      0.5   > F. 11:11(0) ack 2
      0.5   state = LAST-ACK
      0.6   < . 2:2(0) ack 12 win 32000
      0.6   state = CLOSED
    `);
    expect(s.told[s.socket] & (EVENT_PEER_CLOSED | EVENT_CLOSED | EVENT_ERROR)).toBe(EVENT_PEER_CLOSED | EVENT_CLOSED);
  });
  it("figure 13: both at once, CLOSING", () => {
    script(`${OPENED}
      0.3   shutdown
      0.3   > F. 1:1(0) ack 1
      0.4   < F. 1:1(0) ack 1 win 32000
      0.4   > . 2:2(0) ack 2
      0.4   state = CLOSING
      0.5   < . 2:2(0) ack 2 win 32000
      0.5   state = TIME-WAIT
    `);
  });
  it("3.6.1: close with data unread, and data after close, are answered with RST", () => {
    script(`${OPENED}
      0.3   < P. 1:51(50) ack 1 win 32000
      0.32  close
      0.32  > R. 1:1(0) ack 51
    `).quiet(100);
    script(`${OPENED}
      0.3   close
      0.3   > F. 1:1(0) ack 1
      0.4   < P. 1:51(50) ack 2 win 32000
      0.4   > R. 2:2(0) ack 1
    `).quiet(100);
  });
  it("3.10.5: abort sends RST and forgets", () => {
    script(`${OPENED}
      0.3   abort
      0.3   > R. 1:1(0) ack 1
      0.4   < . 1:1(0) ack 1 win 100
      0.4   > R 1:1(0)
    `).quiet(100);
  });
  it("FIN is sent again like data (RFC 6298 5.4), and counts in the sequence", () => {
    script(`${OPENED}
      0.3   send 100
      0.3   > P. 1:101(100) ack 1
      0.3   shutdown
      0.3   > F. 101:101(0) ack 1
      0.6   > FP. 1:101(100) ack 1
      0.7   < . 1:1(0) ack 102 win 32000
      0.7   state = FIN-WAIT-2
    `);
  });
  it("RFC 1337: RST does not end TIME-WAIT; RFC 6191: a newer SYN does", () => {
    script(`${OPENED}
      0.3   close
      0.3   > F. 1:1(0) ack 1
      0.4   < F. 1:1(0) ack 2 win 32000
      0.4   > . 2:2(0) ack 2
      0.5   < R 2:2(0) win 0
      0.6   < . 2:2(0) ack 1 win 100
      0.7   < S 9000:9000(0) win 32000 <mss 1000>
      0.7   > S. 0:0(0) ack 9001
    `);
  });
});

describe("attacks from outside (RFC 5961)", () => {
  it("3.2: RST counts at the next number alone; inside the window it is challenged, outside passed over", () => {
    script(`${OPENED}
      0.3   < R 100:100(0) win 0
      0.3   > . 1:1(0) ack 1
      0.4   < R 900000:900000(0) win 0
      0.5   state = ESTABLISHED
      0.6   < R 1:1(0) win 0
      0.6   state = CLOSED
      0.6   error = reset
    `);
  });
  it("4.2: SYN in a synchronized state is challenged, wherever it lies", () => {
    script(`${OPENED}
      0.3   < S 100:100(0) win 0
      0.3   > . 1:1(0) ack 1
      0.4   < S 900000:900000(0) win 0
      0.4   > . 1:1(0) ack 1
      0.5   state = ESTABLISHED
    `);
  });
  it("5.2: data with an acknowledgment too old or too new is not taken", () => {
    script(`${OPENED}
      0.3   < P. 1:51(50) ack 900000 win 32000
      0.3   > . 1:1(0) ack 1
      0.4   < P. 1:51(50) ack 4294900000 win 32000
      0.4   > . 1:1(0) ack 1
      0.5   recv 100 = would-block
    `);
  });
  it("10: no more than ten challenge acknowledgments in five seconds", () => {
    const s = new Script().run(OPENED);
    for (let i = 0; i < 50; i++) s.inject("R 100:100(0) win 0");
    expect(s.sent.splice(0)).toHaveLength(10);
    s.simulation.run(s.simulation.now + 6e10);
    s.inject("R 100:100(0) win 0");
    expect(s.sent).toHaveLength(1);
  });
});
