import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
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
