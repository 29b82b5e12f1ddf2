/** The Command queue (IHI 0070 chapter 4): what each command does, and the errors that stop it. */

import type { PageRequestResult } from "./ats.ts";
import { WORLD_EL1, WORLD_EL2, WORLD_EL2_E2H } from "./formats.ts";
import type { Smmuv3 } from "./smmuv3.ts";
import { BY_STAGE_1, BY_STAGE_2 } from "./tlb.ts";

export const COMMAND_WORDS = 4;

export const CERROR_NONE = 0;
export const CERROR_ILL = 1;
export const CERROR_ABT = 2;
export const CERROR_ATC_INV_SYNC = 3;

const CMD_PREFETCH_CONFIG = 0x01;
const CMD_PREFETCH_ADDR = 0x02;
const CMD_CFGI_STE = 0x03;
const CMD_CFGI_STE_RANGE = 0x04;
const CMD_CFGI_CD = 0x05;
const CMD_CFGI_CD_ALL = 0x06;
const CMD_TLBI_NH_ALL = 0x10;
const CMD_TLBI_NH_ASID = 0x11;
const CMD_TLBI_NH_VA = 0x12;
const CMD_TLBI_NH_VAA = 0x13;
const CMD_TLBI_EL2_ALL = 0x20;
const CMD_TLBI_EL2_ASID = 0x21;
const CMD_TLBI_EL2_VA = 0x22;
const CMD_TLBI_EL2_VAA = 0x23;
const CMD_TLBI_S12_VMALL = 0x28;
const CMD_TLBI_S2_IPA = 0x2a;
const CMD_TLBI_NSNH_ALL = 0x30;
const CMD_ATC_INV = 0x40;
const CMD_PRI_RESP = 0x41;
const CMD_SYNC = 0x46;

const HALF = 4294967296;
const ALL = BY_STAGE_1 | BY_STAGE_2;
/** log2 of the granule by the field TG; 0 for a single address. */
const GRANULES = [0, 12, 14, 16];
/** ATC_INV sizes from here on mean everything. */
const ATC_ALL = 52;
const PAGE_RESULTS: readonly PageRequestResult[] = ["invalid-request", "failure", "success"];

/** Carries out one command; CERROR_NONE, or why it cannot be. */
export function execute(smmu: Smmuv3, words: Int32Array): number {
  const [w0, w1, w2, w3] = words as unknown as readonly [number, number, number, number];
  if ((w0 & (1 << 10)) !== 0) return CERROR_ILL; // SSEC, in a Non-secure queue
  const opcode = w0 & 0xff;
  const streamId = w1 >>> 0;
  const substreamId = w0 >>> 12;
  const { configuration, tlb } = smmu.translator;
  const vmid = w1 & 0xffff;
  const asid = w1 >>> 16;
  const el2 = smmu.e2h ? WORLD_EL2_E2H : WORLD_EL2;
  switch (opcode) {
    case CMD_PREFETCH_CONFIG:
    case CMD_PREFETCH_ADDR:
      return CERROR_NONE; // a hint, not taken
    case CMD_CFGI_STE:
      configuration.dropStreams(streamId, streamId);
      return CERROR_NONE;
    case CMD_CFGI_STE_RANGE: {
      const range = w2 & 31;
      if (range === 31) configuration.dropAll();
      else {
        const count = 2 ** (range + 1);
        const first = streamId - (streamId % count);
        configuration.dropStreams(first, first + count - 1);
      }
      return CERROR_NONE;
    }
    case CMD_CFGI_CD:
      configuration.dropContexts(streamId, substreamId);
      return CERROR_NONE;
    case CMD_CFGI_CD_ALL:
      configuration.dropContexts(streamId, -1);
      return CERROR_NONE;
    case CMD_TLBI_NH_ALL:
      tlb.invalidate({ world: WORLD_EL1, stages: BY_STAGE_1, vmid });
      return CERROR_NONE;
    case CMD_TLBI_NH_ASID:
      tlb.invalidate({ world: WORLD_EL1, stages: BY_STAGE_1, vmid, asid });
      return CERROR_NONE;
    case CMD_TLBI_NH_VA:
      tlb.invalidate({ world: WORLD_EL1, stages: BY_STAGE_1, vmid, asid, ...range(w0, w2, w3) });
      return CERROR_NONE;
    case CMD_TLBI_NH_VAA:
      tlb.invalidate({ world: WORLD_EL1, stages: BY_STAGE_1, vmid, ...range(w0, w2, w3) });
      return CERROR_NONE;
    case CMD_TLBI_EL2_ALL:
      tlb.invalidate({ world: el2, stages: BY_STAGE_1 });
      return CERROR_NONE;
    case CMD_TLBI_EL2_ASID:
      tlb.invalidate({ world: el2, stages: BY_STAGE_1, ...(smmu.e2h ? { asid } : {}) });
      return CERROR_NONE;
    case CMD_TLBI_EL2_VA:
      tlb.invalidate({ world: el2, stages: BY_STAGE_1, ...(smmu.e2h ? { asid } : {}), ...range(w0, w2, w3) });
      return CERROR_NONE;
    case CMD_TLBI_EL2_VAA:
      tlb.invalidate({ world: el2, stages: BY_STAGE_1, ...range(w0, w2, w3) });
      return CERROR_NONE;
    case CMD_TLBI_S12_VMALL:
      tlb.invalidate({ world: WORLD_EL1, stages: ALL, vmid });
      return CERROR_NONE;
    case CMD_TLBI_S2_IPA:
      // translations of both stages together are no stage 2 information: software invalidates them, too
      tlb.invalidate({
        world: WORLD_EL1,
        stages: BY_STAGE_2,
        without: BY_STAGE_1,
        vmid,
        ...range(w0, w2, w3 & 0xf_ffff),
      });
      return CERROR_NONE;
    case CMD_TLBI_NSNH_ALL:
      tlb.invalidate({ world: WORLD_EL1, stages: ALL });
      return CERROR_NONE;
    case CMD_ATC_INV: {
      const size = w2 & 63;
      const bytes = size >= ATC_ALL ? 2 ** 64 : 4096 * 2 ** size;
      const address = w3 * HALF + ((w2 & ~0xfff) >>> 0);
      smmu.invalidateAts(streamId, {
        substreamId: (w0 & (1 << 11)) !== 0 ? substreamId : -1,
        global: (w0 & (1 << 9)) !== 0,
        address: size >= ATC_ALL ? -(2 ** 63) : Math.floor(address / bytes) * bytes,
        bytes,
      });
      return CERROR_NONE;
    }
    case CMD_PRI_RESP: {
      const result = PAGE_RESULTS[(w2 >>> 12) & 3];
      if (result === undefined) return CERROR_ILL;
      const group = w2 & 0x1ff;
      smmu.respondToPages(streamId, { substreamId: (w0 & (1 << 11)) !== 0 ? substreamId : -1, group, result });
      return CERROR_NONE;
    }
    case CMD_SYNC:
      return synchronize(smmu, w0, w1, (w3 & 0xf_ffff) * HALF + ((w2 & ~3) >>> 0));
    default:
      // reserved, of another Security state, or of features that are not there: stalls, MPAM, EL3
      return CERROR_ILL;
  }
}

/** The addresses that a TLB command names: one, or with TG a range (IHI 0070 4.4.1.1). */
function range(w0: number, low: number, high: number): { readonly start: number; readonly bytes: number } {
  const start = high * HALF + ((low & ~0xfff) >>> 0);
  const granule = GRANULES[(low >>> 10) & 3] as number;
  if (granule === 0) return { start, bytes: 4096 };
  const units = (((w0 >>> 12) & 31) + 1) * 2 ** ((w0 >>> 20) & 31);
  return { start, bytes: units * 2 ** granule };
}

/** All commands before are done when the next one is fetched, so only completion is left to signal. */
function synchronize(smmu: Smmuv3, w0: number, data: number, address: number): number {
  const signal = (w0 >>> 12) & 3;
  if (signal === 3) return CERROR_ILL;
  if (smmu.takeAtsFailure()) return CERROR_ATC_INV_SYNC;
  smmu.translator.configuration.syncs++;
  if (signal === 1) smmu.reports.signalSync(address, data);
  else if (signal === 2) smmu.wakeUp.pulse();
  return CERROR_NONE;
}
