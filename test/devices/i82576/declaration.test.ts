import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildI82576 } from "./device.ts";

const HEAD = {
  rules: ["read-write", "widths"],
  reason: "the device alone moves a ring's head (8.10, 8.12)",
} as const;

describeDeclaration("82576", buildI82576, {
  target: "registers",
  exempt: {
    CTRL: { rules: ["read-write", "widths"], reason: "all ones set RST: the device is reset by the write (8.2)" },
    MDIC: {
      rules: ["read-write", "widths"],
      reason: "each write is an MDI cycle that ends with R, and E where it fails (8.2)",
    },
    I2CCMD: {
      rules: ["read-only"],
      reason: "each write is a cycle that ends with R and E: no module answers (8.17)",
    },
    EECD: { rules: ["read-only"], reason: "EE_GNT answers EE_REQ (8.4)" },
    EERD: { rules: ["read-only"], reason: "DONE and DATA answer START (8.4)" },
    EITR: { rules: ["read-write", "widths"], reason: "all ones set CNT_INGR: LL_COUNTER stays (8.8)" },
    FRTIMER: { rules: ["reset-after-use"], reason: "time does not begin anew with a reset (8.15)" },
    RAL: { rules: ["reset", "reset-after-use"], reason: "RAL 0 comes from the EEPROM (8.10)" },
    RAH: { rules: ["reset", "reset-after-use"], reason: "RAH 0 comes from the EEPROM (8.10)" },
    RDH: HEAD,
    TDH: HEAD,
  },
});
describeDeclaration("82576 VF", buildI82576, {
  target: "vf1",
  exempt: { VTFRTIMER: { rules: ["reset-after-use"], reason: "time does not begin anew with a reset (8.15)" } },
});
fuzzDevice("82576", buildI82576, { accesses: 10_000 });
