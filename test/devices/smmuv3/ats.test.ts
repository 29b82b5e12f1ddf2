// ATS and PRI: Arm IHI 0070 3.9, 4.5, 6.3.35, 7.3.6, 7.3.8, chapter 8.
import { describe, expect, it } from "vitest";
import { RESPONSE_OK, RESPONSE_TARGET_ERROR } from "../../../src/bus/index.ts";
import type { AtsInvalidation, PageResponse } from "../../../src/devices/smmuv3/index.ts";
import {
  Board,
  CMDQ_CONS,
  CR0,
  cd,
  DATA,
  GERROR,
  GERRORN,
  PAGES,
  PRIQ_CONS,
  PRIQ_PROD,
  RW,
  S2_RW,
  ste0,
  ste23,
  Tables,
} from "./board.ts";

function board(eats: bigint) {
  const b = new Board().enable();
  const tables = new Tables(b, 12, 1);
  tables.map(0x1000n, DATA, RW);
  tables.map(0x2000n, DATA + 0x1000, RW | (1n << 7n));
  const context = b.allocate(64);
  b.store(context, ...cd({ t0: tables.base }));
  b.ste(1, ste0(5, context), eats << 28n);
  const invalidations: AtsInvalidation[] = [];
  const responses: PageResponse[] = [];
  let answers = true;
  b.smmu.attach(1, {
    invalidate: (i) => {
      invalidations.push(i);
      return answers;
    },
    pageResponse: (r) => responses.push(r),
  });
  const ask = (address: number, write = true) =>
    b.smmu.translationRequest({ streamId: 1, substreamId: -1, address, write, execute: false, privileged: false });
  const page = (last: boolean, group = 5) =>
    b.smmu.pageRequest({
      streamId: 1,
      substreamId: -1,
      address: 0x1234_5000,
      read: true,
      write: true,
      execute: false,
      privileged: false,
      last,
      group,
    });
  return { b, ask, page, invalidations, responses, silence: () => (answers = false) };
}

describe("ATS", () => {
  it("3.9.1: translation requests give address and rights; what is not mapped has none, and no event", () => {
    const { b, ask } = board(1n);
    const whole = { status: "success", bytes: 4096, execute: false, global: false };
    expect(ask(0x1234)).toEqual({ ...whole, address: DATA, read: true, write: true });
    expect(ask(0x1234, false)).toEqual({ ...whole, address: DATA, read: true, write: false });
    expect(ask(0x2000)).toEqual({ ...whole, address: DATA + 0x1000, read: true, write: false });
    expect(ask(0x3000)).toEqual({ ...whole, address: 0x3000, read: false, write: false });
    expect(b.events()).toEqual([]);
  });

  it("7.3.6: with EATS 0b00 a request is unsupported and F_BAD_ATS_TREQ; while SMMUEN = 0 it is just unsupported", () => {
    const { b, ask } = board(0n);
    expect(ask(0x1000)).toEqual({ status: "unsupported-request" });
    expect(b.events()).toMatchObject([{ type: 0x05, streamId: 1, address: 0x1000n }]);
    b.write(CR0, 0xe);
    expect(ask(0x1000)).toEqual({ status: "unsupported-request" });
    expect(b.events()).toEqual([]);
  });

  it("3.9.1: an invalid configuration is a completer abort with its event", () => {
    const { b, ask } = board(1n);
    b.ste(1, 0n);
    expect(ask(0x1000)).toEqual({ status: "completer-abort" });
    expect(b.events().map((e) => e.type)).toEqual([0x04]);
  });

  it("7.3.8: translated transactions pass; with ATSCHK only where EATS allows: else F_TRANSL_FORBIDDEN", () => {
    const open = board(1n);
    const port = open.b.port(1, { translated: true });
    open.b.write(CR0, 0x1f);
    port.write(DATA, 4, 1);
    expect([port.response, open.b.load(DATA)]).toEqual([RESPONSE_OK, 1n]);
    const closed = board(0n);
    const forbidden = closed.b.port(1, { translated: true });
    forbidden.write(DATA, 4, 1);
    expect(forbidden.response).toBe(RESPONSE_OK);
    closed.b.write(CR0, 0x1f);
    forbidden.write(DATA, 4, 2);
    expect([forbidden.response, closed.b.load(DATA)]).toEqual([RESPONSE_TARGET_ERROR, 1n]);
    expect(closed.b.events()).toMatchObject([{ type: 0x07, rnw: false, address: BigInt(DATA) }]);
  });

  it("5.2, EATS 0b10: the function holds intermediate addresses, which stage 2 translates", () => {
    const b = new Board().enable();
    const two = new Tables(b, 12, 1);
    for (let at = 0x4000_0000; at < 0x4100_0000; at += 0x20_0000) two.map(BigInt(at), at, S2_RW, 2);
    two.map(0x10_0000n, DATA, S2_RW);
    const one = new Tables(b, 12, 1);
    one.map(0x1000n, 0x10_0000, RW);
    const context = b.allocate(64);
    b.store(context, ...cd({ t0: one.base }));
    const [w2, w3] = ste23({ base: two.base });
    b.ste(1, ste0(7, context), 2n << 28n, w2, w3);
    const asked = { streamId: 1, substreamId: -1, address: 0x1000, write: true, execute: false, privileged: false };
    expect(b.smmu.translationRequest(asked)).toMatchObject({ status: "success", address: 0x10_0000 });
    b.write(CR0, 0x1f);
    const port = b.port(1, { translated: true });
    port.write(0x10_0004, 4, 6);
    expect(b.load(DATA)).toBe(6n << 32n);
    port.write(0x20_0000, 4, 6);
    expect(b.events()).toMatchObject([{ type: 0x10, s2: true, ipa: 0x20_0000n }]);
  });

  it("4.5.1: CMD_ATC_INV reaches the function: 2^Size pages, or everything with Size 52", () => {
    const { b, invalidations } = board(1n);
    b.command([0x40n | (1n << 32n), 0x1234_5000n | 4n]);
    b.command([0x40n | (1n << 11n) | (7n << 12n) | (1n << 32n), 52n]);
    expect(invalidations).toEqual([
      { substreamId: -1, global: false, address: 0x1234_0000, bytes: 0x1_0000 },
      { substreamId: 7, global: false, address: -(2 ** 63), bytes: 2 ** 64 },
    ]);
  });

  it("7.1: an invalidation without an answer is CERROR_ATC_INV_SYNC at the next CMD_SYNC", () => {
    const { b, silence } = board(1n);
    silence();
    b.command([0x40n | (1n << 32n), 52n], [0x46n, 0n]);
    expect([b.read(CMDQ_CONS), b.read(GERROR)]).toEqual([0x0300_0001, 1]);
    b.write(GERRORN, 1);
    expect(b.read(CMDQ_CONS) & 0xf_ffff).toBe(2);
  });
});

describe("PRI", () => {
  it("8.2: a page request is a record in the PRI queue; CMD_PRI_RESP is its answer", () => {
    const { b, page, responses } = board(1n);
    page(true, 0x105);
    expect([b.read(PRIQ_PROD), b.pulses.priq]).toEqual([1, 1]);
    expect([b.load(PAGES), b.load(PAGES + 8)]).toEqual([1n | (7n << 60n), 0x1234_5105n]);
    b.write(PRIQ_CONS, 1);
    b.command([0x41n | (1n << 32n), 0x105n | (2n << 12n)]);
    b.command([0x41n | (1n << 32n), 0x105n], [0x41n | (1n << 32n), 0x105n | (1n << 12n)]);
    expect(responses.map((r) => [r.group, r.result])).toEqual([
      [0x105, "success"],
      [0x105, "invalid-request"],
      [0x105, "failure"],
    ]);
  });

  it("8.1: a full queue overflows, and the SMMU answers the last request of a group itself", () => {
    const { b, page, responses } = board(1n);
    for (let n = 0; n < 64; n++) page(false);
    expect(b.read(PRIQ_PROD)).toBe(64);
    page(false);
    page(true);
    expect([b.read(PRIQ_PROD), responses.map((r) => r.result)]).toEqual([0x8000_0040, ["success"]]);
    b.write(PRIQ_CONS, 0x40); // all read; the overflow is not acknowledged yet
    page(true);
    expect([b.read(PRIQ_PROD), responses.length]).toEqual([0x8000_0040, 2]);
    b.write(PRIQ_CONS, 0x8000_0040);
    page(true);
    expect([b.read(PRIQ_PROD), responses.length]).toEqual([0x8000_0041, 2]);
  });

  it("8.1: while PRIQEN = 0 the answer is failure", () => {
    const { b, page, responses } = board(1n);
    b.write(CR0, 0xd);
    page(false);
    page(true);
    expect(responses.map((r) => r.result)).toEqual(["failure"]);
  });
});
