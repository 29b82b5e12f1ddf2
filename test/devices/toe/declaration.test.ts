import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildToe } from "./device.ts";

const BUILT = { rules: ["reset", "reset-after-use"], reason: "says how the device was built" } as const;

describeDeclaration("TOE management", buildToe, {
  target: "management",
  exempt: {
    CAPABILITY: BUILT,
    MEMORY_TOTAL: BUILT,
    STATUS: BUILT,
    IF_CONTROL: {
      rules: ["read-write", "widths"],
      reason: "interfaces that the device lacks take nothing",
    },
    IF_MAC_LOW: { rules: ["reset", "reset-after-use"], reason: "the device's own address (manual 13.1)" },
    IF_MAC_HIGH: { rules: ["reset", "reset-after-use"], reason: "the device's own address (manual 13.1)" },
    IF_MEMORY: {
      rules: ["read-write", "widths", "reset", "reset-after-use"],
      reason: "an even share, and bounded by the sum (manual 13.3)",
    },
  },
});
describeDeclaration("TOE interface", buildToe, {
  target: "interface",
  exempt: {
    MAX_COMMANDS: BUILT,
    STATUS: BUILT,
    CONTROL: { rules: ["read-write", "widths"], reason: "all ones set RESET (manual 4)" },
    MAC_LOW: BUILT,
    MAC_HIGH: BUILT,
    MTU: BUILT,
    SOCKET_QUOTA: BUILT,
    MEMORY_QUOTA: BUILT,
    WEIGHT: BUILT,
  },
});
fuzzDevice("toe", buildToe, { accesses: 10_000 });
