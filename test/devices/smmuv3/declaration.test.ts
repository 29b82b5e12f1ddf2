import { describe, expect, it } from "vitest";
import { Bench, describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildSmmuv3 } from "./device.ts";

describeDeclaration("SMMUv3", buildSmmuv3, {
  exempt: {
    SMMU_GBPA: {
      rules: ["read-write", "widths"],
      reason: "6.3.14: a write without UPDATE is ignored, and UPDATE reads as zero once the update is done",
    },
  },
});
fuzzDevice("SMMUv3", buildSmmuv3);

describe("identification", () => {
  it("6.3.1 to 6.3.8: QEMU's virt machine has 0x0d44101b, 0x02730010, 0x1414, 0x74 and 1; here are more features", () => {
    const bench = new Bench(buildSmmuv3);
    // and Hyp, ATS, MSI, SEV, PRI, CD2L, but no TERM_MODEL: CD.A chooses
    expect(bench.peek(0, 0x00, 4)).toBe(
      (0x0d44_101b | (1 << 9) | (1 << 10) | (1 << 13) | (1 << 14) | (1 << 16) | (1 << 19)) & ~(1 << 26),
    );
    // and ATTR_PERMS_OVR, 20 bits of SubstreamID, a PRI queue of 2^19 entries
    expect(bench.peek(0, 0x04, 4)).toBe(0x0273_0010 | (1 << 26) | (20 << 6) | (19 << 11));
    expect([0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c].map((o) => bench.peek(0, o, 4))).toEqual([0, 0x1414, 0, 0x74, 0, 1]);
  });
});
