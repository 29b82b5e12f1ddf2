import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildEmpty, buildLegacy, buildModern, devices } from "./device.ts";

const configuration = { reason: "it tells what is behind the slot, which the declaration does not know" };
const identity = { rules: ["reset", "reset-after-use"], ...configuration } as const;
const shared = {
  rules: ["reset", "reset-after-use"],
  reason: "4.2.2: all ones where there is no shared memory region",
} as const;
const occupied = {
  DeviceID: identity,
  DeviceFeatures: identity,
  QueueNumMax: identity,
  SHMLenLow: shared,
  SHMLenHigh: shared,
  SHMBaseLow: shared,
  SHMBaseHigh: shared,
};

describeDeclaration("virtio-mmio, empty", buildEmpty);
describeDeclaration("virtio-mmio, legacy", buildLegacy, { exempt: occupied });
describeDeclaration("virtio-mmio", buildModern, {
  exempt: {
    ...occupied,
    Version: { rules: ["reset", "reset-after-use"], reason: "the slot was built with version 2" },
  },
});
for (const [name, factory] of Object.entries(devices)) fuzzDevice(name, factory);
