// Command, record and register formats typed from Arm IHI 0070: 3.5, 3.17, 3.18, chapter 4, 6.3, 7.1 to 7.4.
import { describe, expect, it } from "vitest";
import { RESPONSE_OK, RESPONSE_TARGET_ERROR } from "../../../src/bus/index.ts";
import {
  ACCESS,
  Board,
  CMDQ_BASE,
  CMDQ_CONS,
  CMDQ_PROD,
  COMMANDS,
  CR0,
  CR2,
  cd,
  DATA,
  EVENTQ_BASE,
  EVENTQ_CONS,
  EVENTQ_PROD,
  GERROR,
  GERRORN,
  IRQ_CTRL,
  RW,
  S2_RW,
  ste0,
  ste23,
  Tables,
  USER,
} from "./board.ts";

const SYNC_IRQ = 0x46n | (1n << 12n);
const SYNC_SEV = 0x46n | (2n << 12n);

describe("Command queue", () => {
  it("3.5.1: consumes in order, wraps, and CONS follows PROD", () => {
    const b = new Board().enable();
    for (let n = 0; n < 200; n++) b.sync();
    expect([b.read(CMDQ_CONS), b.read(CMDQ_PROD)]).toEqual([200 % 128, 200 % 128]);
  });

  it("6.3.9: nothing is consumed before CMDQEN", () => {
    const b = new Board();
    b.write64(CMDQ_BASE, BigInt(COMMANDS) | 6n);
    b.command([0x46n, 0n]);
    expect(b.read(CMDQ_CONS)).toBe(0);
    b.write(CR0, 8);
    expect(b.read(CMDQ_CONS)).toBe(1);
  });

  it("4.7.3: CMD_SYNC completes by wire, by MSI, by event or silently", () => {
    const b = new Board().enable();
    b.command([0x46n, 0n]);
    expect(b.pulses).toMatchObject({ cmdqSync: 0, wakeUp: 0 });
    b.command([SYNC_IRQ, 0n]);
    expect(b.pulses).toMatchObject({ cmdqSync: 1, wakeUp: 0 });
    b.command([SYNC_SEV, 0n]);
    expect(b.pulses).toMatchObject({ cmdqSync: 1, wakeUp: 1 });
    b.command([SYNC_IRQ | (0xdead_beefn << 32n), BigInt(DATA) | 3n]);
    expect([b.load(DATA), b.pulses.cmdqSync]).toEqual([0xdead_beefn, 1]);
  });

  it.each([
    ["reserved 0x00", 0n, 0n],
    ["reserved 0xff", 0xffn, 0n],
    ["SSEC in the Non-secure queue", 0x46n | (1n << 10n), 0n],
    ["CMD_SYNC with CS 0b11", 0x46n | (3n << 12n), 0n],
    ["CMD_RESUME without stalls", 0x44n, 0n],
    ["CMD_STALL_TERM without stalls", 0x45n, 0n],
    ["CMD_TLBI_EL3_ALL", 0x18n, 0n],
    ["CMD_TLBI_EL3_VA", 0x1an, 0n],
    ["CMD_CFGI_VMS_PIDM without MPAM", 0x07n, 0n],
    ["CMD_PRI_RESP with Resp 0b11", 0x41n, 3n << 12n],
  ])("7.1: %s is CERROR_ILL; the queue stops there until GERRORN", (_what, w0, w1) => {
    const b = new Board().enable();
    b.command([0x46n, 0n], [w0, w1], [SYNC_IRQ, 0n]);
    expect([b.read(CMDQ_CONS), b.read(GERROR), b.pulses.gerror, b.pulses.cmdqSync]).toEqual([0x0100_0001, 1, 1, 0]);
    b.sync(); // does not start it again
    expect(b.read(CMDQ_CONS)).toBe(0x0100_0001);
    b.store(COMMANDS + 16, 0x46n, 0n); // repaired
    b.write(GERRORN, 1);
    expect([b.read(CMDQ_CONS) & 0xfffff, b.pulses.cmdqSync]).toEqual([4, 1]);
  });

  it("7.1: a command that cannot be read is CERROR_ABT", () => {
    const b = new Board().enable();
    b.write(CR0, 0);
    b.write64(CMDQ_BASE, 0x2_0000_0006n);
    b.write(CMDQ_PROD, 1);
    b.write(CR0, 8);
    expect([b.read(CMDQ_CONS), b.read(GERROR)]).toEqual([0x0200_0000, 1]);
  });

  it("6.3.18: an error that is active already toggles nothing and interrupts no more", () => {
    const b = new Board().enable();
    b.command([SYNC_IRQ, 0x3_0000_0000n]);
    expect([b.read(GERROR), b.pulses.gerror]).toEqual([0x10, 1]);
    b.command([SYNC_IRQ, 0x3_0000_0000n]);
    expect([b.read(GERROR), b.pulses.gerror]).toEqual([0x10, 1]);
    b.write(GERRORN, 0x10);
    b.command([SYNC_IRQ, 0x3_0000_0000n]);
    expect([b.read(GERROR), b.pulses.gerror]).toEqual([0, 2]);
  });

  it("6.3.19: to acknowledge an error that is not active is recorded", () => {
    const b = new Board().enable();
    b.write(GERRORN, 4);
    expect(b.errors.map((e) => [e.kind, e.register, e.value])).toEqual([["sequence", "SMMU_GERRORN", 4]]);
    b.command([0n, 0n]);
    b.errors.length = 0;
    b.store(COMMANDS, 0x46n, 0n);
    b.write(GERRORN, 5);
    expect([b.errors, b.read(CMDQ_CONS) & 0xf_ffff]).toEqual([[], 1]);
  });

  it("3.18: global errors go by MSI where an address is given; one that is aborted is an error itself", () => {
    const b = new Board().enable();
    b.write(IRQ_CTRL, 0);
    b.write64(0x68, BigInt(DATA));
    b.write(0x70, 0x77);
    b.write(IRQ_CTRL, 1);
    b.command([0n, 0n]);
    expect([b.load(DATA), b.pulses.gerror, b.read(GERROR)]).toEqual([0x77n, 0, 1]);
    b.write(IRQ_CTRL, 0);
    b.write64(0x68, 0x3_0000_0000n);
    b.write(IRQ_CTRL, 1);
    b.write(GERRORN, 1);
    expect([b.read(GERROR), b.pulses.gerror]).toEqual([0x80, 0]); // stops at the same command again
  });

  it("4.2: prefetch commands are hints", () => {
    const b = new Board().enable();
    b.command([1n, 0n], [2n, 0n], [0x46n, 0n]);
    expect([b.read(CMDQ_CONS), b.read(GERROR)]).toEqual([3, 0]);
  });

  it("a queue that writes its own PROD by MSI ends in time: the rest follows later", () => {
    const b = new Board().enable();
    b.bus.map({ name: "smmu", base: 0x905_0000, size: 0x2_0000, target: b.smmu.registers });
    // each CMD_SYNC moves PROD on: 0 -> 2 -> 4 ..., the queue never becomes empty
    for (let n = 0; n < 64; n++) b.store(COMMANDS + 16 * n, SYNC_IRQ | (BigInt((n + 2) & 63) << 32n), 0x905_0098n);
    b.write(CMDQ_PROD, 1);
    const before = b.simulation.now;
    b.simulation.run(before + 50_000);
    expect(b.simulation.now).toBe(before + 50_000);
  });
});

describe("Event queue", () => {
  it("3.5.2: an interrupt when it becomes non-empty, not for each record", () => {
    const b = new Board().enable();
    const port = b.port(1);
    for (let n = 0; n < 3; n++) port.read(DATA + 8 * n, 4);
    expect([b.read(EVENTQ_PROD), b.pulses.eventq]).toEqual([3, 1]);
    expect(b.events().length).toBe(3);
    port.read(DATA, 4);
    expect(b.pulses.eventq).toBe(2);
  });

  it("3.18: the interrupt goes by MSI where an address is given", () => {
    const b = new Board().enable();
    b.write(IRQ_CTRL, 0);
    b.write64(0xb0, BigInt(DATA));
    b.write(0xb8, 0x1234);
    b.write(IRQ_CTRL, 4);
    b.port(1).read(0, 4);
    expect([b.load(DATA), b.pulses.eventq]).toEqual([0x1234n, 0]);
  });

  it("7.4: full: the record is lost and OVFLG toggles, once until it is acknowledged", () => {
    const b = new Board().enable();
    const port = b.port(1);
    for (let n = 0; n < 64; n++) port.read(0, 4);
    expect(b.read(EVENTQ_PROD)).toBe(64);
    for (let n = 0; n < 3; n++) port.read(0, 4);
    expect(b.read(EVENTQ_PROD)).toBe(0x8000_0040);
    b.write(EVENTQ_CONS, 0x8000_0001); // one read, overflow acknowledged
    port.read(0, 4);
    expect(b.read(EVENTQ_PROD)).toBe(0x8000_0041);
    port.read(0, 4);
    expect(b.read(EVENTQ_PROD)).toBe(0x0000_0041);
  });

  it("7.2: a queue that cannot be written is EVENTQ_ABT_ERR", () => {
    const b = new Board().enable();
    b.write(CR0, 0x9);
    b.write64(EVENTQ_BASE, 0x3_0000_0006n);
    b.write(CR0, 0xd);
    b.port(1).read(0, 4);
    expect([b.read(GERROR), b.read(EVENTQ_PROD), b.pulses.gerror]).toEqual([4, 0, 1]);
  });

  it("6.3.9: nothing is recorded while EVENTQEN = 0", () => {
    const b = new Board().enable();
    b.write(CR0, 0xb);
    b.port(1).read(0, 4);
    expect(b.read(EVENTQ_PROD)).toBe(0);
  });

  it("a block transfer is one request a page, and leaves one record", () => {
    const b = new Board().enable();
    b.stageOne(1, cd({ t0: b.allocate(4096) }));
    const port = b.port(1);
    expect(port.readBlock(DATA + 0x100, new Uint8Array(1500))).toBe(false);
    expect(b.events().map((e) => e.address)).toEqual([BigInt(DATA + 0x100)]);
    port.writeBlock(DATA + 0xf00, new Uint8Array(1500));
    expect(b.events().map((e) => e.address)).toEqual([BigInt(DATA + 0xf00), BigInt(DATA + 0x1000)]);
    port.read(DATA + 0x100, 4);
    port.read(DATA + 0x104, 4);
    expect(b.events().length).toBe(2);
  });

  it("a queue in a device that does DMA of its own does not go round in circles", () => {
    const b = new Board().enable();
    const port = b.port(1);
    let calls = 0;
    const doorbell = {
      accessSizes: 15,
      read: () => 0,
      peek: () => 0,
      poke: () => {},
      write: () => {
        calls++;
        port.read(DATA, 4);
      },
    };
    b.bus.map({ name: "doorbell", base: 0x1000_0000, size: 0x1000, target: doorbell });
    b.write(CR0, 0x9);
    b.write64(EVENTQ_BASE, 0x1000_0006n);
    b.write(CR0, 0xd);
    port.read(DATA, 4);
    expect(calls).toBe(8); // the words of one record
    expect(b.errors.filter((e) => e.detail?.includes("led back")).length).toBe(8);
  });
});

describe("TLB maintenance", () => {
  /** Streams 1 and 2 with ASIDs 1 and 2, and a page each that is moved afterwards. */
  const board = (attributes = RW, vmid = 0n) => {
    const b = new Board().enable();
    const ports = [1, 2].map((n) => {
      const tables = new Tables(b, 12, 1);
      for (let page = 0; page < 16; page++) tables.map(BigInt(page * 4096), DATA + 4096 * (16 * n + page), attributes);
      const at = b.allocate(64);
      b.store(at, ...cd({ t0: tables.base, asid: n }));
      b.ste(n, ste0(5, at), 0n, vmid);
      return { port: b.port(n), tables, n };
    });
    b.invalidateAll();
    for (const { port } of ports) for (let page = 0; page < 16; page++) port.read(page * 4096, 4);
    // every page moves by 2 MiB
    for (const { tables, n } of ports) {
      for (let page = 0; page < 16; page++) {
        tables.map(BigInt(page * 4096), DATA + 0x20_0000 + 4096 * (16 * n + page), attributes);
        b.store(DATA + 0x20_0000 + 4096 * (16 * n + page), 1n);
      }
    }
    /** Pages of a stream that are seen where they are now. */
    const fresh = (n: number) => {
      const port = b.port(n, { privileged: false });
      return Array.from({ length: 16 }, (_, page) => page).filter((page) => port.read(page * 4096, 4) === 1);
    };
    return { b, fresh };
  };
  const all = Array.from({ length: 16 }, (_, n) => n);
  const nhVa = (asid: bigint, address: bigint) => [0x12n | (asid << 48n), address] as const;

  it("3.17: without invalidation the old translation stays, and its use is recorded once a page", () => {
    const { b, fresh } = board();
    expect([fresh(1), fresh(2)]).toEqual([[], []]);
    fresh(1);
    expect(b.staleReports().length).toBe(32);
    expect(b.errors[0]).toMatchObject({ kind: "sequence", requesterId: 1, address: 0, clause: "Arm IHI 0070 3.17" });
    expect(b.events()).toEqual([]);
  });

  it("4.4: CMD_TLBI_NH_ASID takes one ASID, CMD_TLBI_NH_ALL one VMID, CMD_TLBI_NSNH_ALL everything", () => {
    const { b, fresh } = board();
    b.command([0x11n | (2n << 48n), 0n]);
    expect([fresh(1), fresh(2)]).toEqual([[], all]);
    const other = board(RW, 5n);
    other.b.command([0x10n | (4n << 32n), 0n]);
    expect([other.fresh(1), other.fresh(2)]).toEqual([[], []]);
    other.b.command([0x10n | (5n << 32n), 0n]);
    expect([other.fresh(1), other.fresh(2)]).toEqual([all, all]);
    const third = board(RW, 5n);
    third.b.command([0x30n, 0n]);
    expect([third.fresh(1), third.fresh(2)]).toEqual([all, all]);
  });

  it("4.4: CMD_TLBI_NH_VA takes one page of one ASID, CMD_TLBI_NH_VAA of all", () => {
    const { b, fresh } = board();
    b.command(nhVa(1n, 0x3000n));
    expect([fresh(1), fresh(2)]).toEqual([[3], []]);
    b.command([0x13n, 0x5000n]);
    expect([fresh(1), fresh(2)]).toEqual([[3, 5], [5]]);
  });

  it("4.4.1.1: NUM, SCALE and TG make a range of (NUM + 1) * 2^SCALE granules", () => {
    const { b, fresh } = board();
    b.command([0x12n | (1n << 48n) | (2n << 12n) | (1n << 20n), 0x4000n | (1n << 10n)]); // 3 * 2 pages from 4
    expect([fresh(1), fresh(2)]).toEqual([[4, 5, 6, 7, 8, 9], []]);
    b.command([0x13n | (0n << 12n), 0n | (2n << 10n)]); // one granule of 16 KiB
    expect([fresh(1), fresh(2)]).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [0, 1, 2, 3],
    ]);
  });

  it("DDI 0487 D8.14: global entries stay for an ASID, and go for an address", () => {
    const { b, fresh } = board(USER | ACCESS);
    b.command([0x11n | (1n << 48n), 0n]);
    expect(fresh(1)).toEqual([]);
    b.command(nhVa(9n, 0x1000n));
    expect(fresh(1)).toEqual([1]);
  });

  it("CMD_TLBI by any address within a block takes all of it", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0n, DATA, RW, 2);
    b.stageOne(1, cd({ t0: tables.base }));
    const port = b.port(1);
    for (const page of [0, 3, 100]) port.read(page * 4096, 4);
    b.store(tables.place(0n, 2), 0n);
    b.command(nhVa(1n, 0x7000n));
    for (const page of [0, 3, 100]) port.read(page * 4096, 4);
    expect([b.events().length, b.staleReports()]).toEqual([3, []]);
  });

  it("4.4: CMD_TLBI_S2_IPA takes stage 2 translations alone; CMD_TLBI_S12_VMALL a VMID's of both stages", () => {
    const b = new Board().enable();
    const two = new Tables(b, 12, 1);
    for (let at = 0x4000_0000; at < 0x4100_0000; at += 0x20_0000) two.map(BigInt(at), at, S2_RW, 2);
    const one = new Tables(b, 12, 1);
    one.map(0x1000n, DATA, RW);
    const context = b.allocate(64);
    b.store(context, ...cd({ t0: one.base }));
    const [w2, w3] = ste23({ base: two.base, vmid: 9 });
    b.ste(1, ste0(7, context), 0n, w2, w3);
    b.ste(2, ste0(6), 0n, w2, w3);
    b.invalidateAll();
    const ports = [b.port(1), b.port(2)] as const;
    const addresses = [0x1000, DATA] as const;
    const touch = () =>
      ports.map((port, n) => {
        port.read(addresses[n] as number, 4);
        return port.response;
      });
    expect(touch()).toEqual([RESPONSE_OK, RESPONSE_OK]);
    b.store(two.place(BigInt(DATA), 2), 0n);
    b.command([0x2an | (8n << 32n), BigInt(DATA)]); // another VMID
    expect(touch()).toEqual([RESPONSE_OK, RESPONSE_OK]);
    b.command([0x2an | (9n << 32n), BigInt(DATA)]);
    expect(touch()).toEqual([RESPONSE_OK, RESPONSE_TARGET_ERROR]);
    b.command([0x28n | (9n << 32n), 0n]);
    expect(touch()).toEqual([RESPONSE_TARGET_ERROR, RESPONSE_TARGET_ERROR]);
  });

  it("4.4: EL2 commands take EL2 contexts alone", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, ACCESS);
    const context = b.allocate(64);
    b.store(context, ...cd({ t0: tables.base }));
    b.ste(1, ste0(5, context), 2n << 30n);
    b.invalidateAll();
    const port = b.port(1, { privileged: true });
    port.read(0x1000, 4);
    tables.map(0x1000n, DATA + 0x1000, ACCESS);
    b.store(DATA + 0x1000, 1n);
    b.command([0x30n, 0n], [0x28n, 0n], [0x13n, 0x1000n]);
    expect(port.read(0x1000, 4)).toBe(0);
    b.command([0x22n, 0x1000n]);
    expect(port.read(0x1000, 4)).toBe(1);
    b.command([0x20n, 0n], [0x21n, 0n], [0x23n, 0n]);
    expect(b.read(GERROR)).toBe(0);
  });

  it("a right that the tables have given since is used after a walk, and recorded", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, RW | (1n << 7n));
    b.stageOne(1, cd({ t0: tables.base }));
    const port = b.port(1);
    port.read(0x1000, 4);
    tables.map(0x1000n, DATA, RW);
    port.write(0x1000, 4, 5);
    expect([b.load(DATA), b.staleReports().length]).toEqual([5n, 1]);
  });
});

describe("configuration cache", () => {
  const board = () => {
    const b = new Board().enable();
    for (const n of [1, 2, 3, 4]) b.ste(n, ste0(4));
    const ports = [1, 2, 3, 4].map((n) => b.port(n));
    const open = () =>
      ports.flatMap((port, i) => {
        port.read(DATA, 4);
        return port.response === RESPONSE_OK ? [i + 1] : [];
      });
    open();
    for (const n of [1, 2, 3, 4]) b.ste(n, ste0(0));
    return { b, open };
  };

  it("3.21.3: entries stay until CMD_CFGI; use after a CMD_SYNC is recorded, use before is not", () => {
    const { b, open } = board();
    const lookups = () => [1, 2, 3, 4].map((n) => b.smmu.target(n).direct(DATA, false));
    lookups();
    expect([open(), b.staleReports()]).toEqual([[1, 2, 3, 4], []]);
    b.sync();
    lookups();
    lookups();
    expect(b.staleReports().length).toBe(4);
    expect(b.errors[0]).toMatchObject({ kind: "sequence", requesterId: 1, clause: "Arm IHI 0070 3.21.3" });
  });

  it("4.3: CMD_CFGI_STE takes one stream, CMD_CFGI_STE_RANGE 2^(Range + 1), CMD_CFGI_ALL all", () => {
    const { b, open } = board();
    b.command([3n | (1n << 32n), 1n]);
    expect(open()).toEqual([2, 3, 4]);
    b.command([4n | (2n << 32n), 0n]);
    expect(open()).toEqual([4]);
    b.command([4n, 31n]);
    expect(open()).toEqual([]);
  });

  it("3.21.3: an entry that was not valid is kept as well", () => {
    const b = new Board().enable();
    const port = b.port(7);
    port.read(DATA, 4);
    b.ste(7, ste0(4));
    port.read(DATA, 4);
    expect(port.response).toBe(RESPONSE_TARGET_ERROR);
    b.command([3n | (7n << 32n), 1n]);
    port.read(DATA, 4);
    expect(port.response).toBe(RESPONSE_OK);
  });

  it("4.3: CMD_CFGI_CD takes one substream's descriptor, CMD_CFGI_CD_ALL a stream's; CMD_CFGI_STE all of them", () => {
    const b = new Board().enable();
    const contexts = b.allocate(256);
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, RW);
    b.ste(1, ste0(5, contexts, 0, 2));
    const fill = (good: boolean) => {
      for (let n = 1; n < 4; n++) b.store(contexts + 64 * n, ...(good ? cd({ t0: tables.base }) : [0n]));
    };
    const ports = [1, 2, 3].map((n) => b.sideband(1, n));
    const open = () =>
      ports.flatMap((port, i) => {
        port.read(0x1000, 4);
        return port.response === RESPONSE_OK ? [i + 1] : [];
      });
    fill(true);
    expect(open()).toEqual([1, 2, 3]);
    fill(false);
    expect(open()).toEqual([1, 2, 3]);
    b.command([5n | (2n << 12n) | (1n << 32n), 1n]);
    expect(open()).toEqual([1, 3]);
    b.command([6n | (1n << 32n), 0n]);
    expect(open()).toEqual([]);
    fill(true);
    b.command([3n | (1n << 32n), 1n]);
    expect(open()).toEqual([1, 2, 3]);
  });

  it("direct access that a port holds ends with the entry it came from", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, RW);
    b.stageOne(1, cd({ t0: tables.base }));
    const port = b.port(1);
    port.write(0x1000, 4, 1);
    expect(b.smmu.target(1).direct(0x1000, true)).toMatchObject({ start: 0x1000, end: 0x2000, writable: true });
    b.store(tables.place(0x1000n), 0n);
    b.command([0x12n | (1n << 48n), 0x1000n]);
    port.write(0x1000, 4, 2);
    expect([port.response, b.load(DATA)]).toEqual([RESPONSE_TARGET_ERROR, 1n]);
    b.write(CR0, 0xe);
    b.write(CR2, 2);
    port.write(DATA, 4, 3);
    b.write(CR0, 0xf);
    port.write(DATA, 4, 4);
    expect([port.response, b.load(DATA)]).toEqual([RESPONSE_TARGET_ERROR, 3n]);
  });
});
