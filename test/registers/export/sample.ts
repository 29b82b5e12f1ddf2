/** A part with one of everything that exports have to express. */
import { defineRegisters, rc, reserved, ro, rw, w1c, w1s, wo } from "../../../src/registers/index.ts";

export const WIDGET = defineRegisters({
  name: "WIDGET",
  title: "A widget <of> parts & pieces",
  manual: "Manual B",
  size: 0x60,
  sizes: [1, 2, 4],
  registers: {
    CTRL: {
      at: 0x00,
      title: "Control | mode",
      clause: "3.1",
      fields: {
        EN: rw(0, "Enable", { values: { 0: "off", 1: "on" } }),
        MODE: rw([5, 4], "Mode", { reset: 2, unimplemented: "no modes here" }),
        RSVD: reserved([31, 6], "Reserved"),
      },
    },
    STAT: {
      at: 0x04,
      title: "Status",
      clause: "3.2",
      fields: { ERR: w1c(0, "Error"), SET: w1s(1, "Set"), ONCE: rc(2, "Read once"), BUSY: ro(31, "Busy") },
    },
    KEY: { at: 0x08, title: "Key", clause: "3.3", sizes: [4], fields: { VALUE: wo([31, 0], "Value") } },
    WIDE: {
      at: 0x10,
      title: "64 bits",
      clause: "3.4",
      width: 64,
      fields: { BASE: rw([47, 12], "Base", { reset: 5 }) },
    },
    ROW: { at: 0x20, title: "Array", clause: "3.5", count: 3, banked: 1, fields: { VALUE: rw([31, 0], "Value") } },
    GAP: {
      at: 0x30,
      title: "Array with gaps",
      clause: "3.6",
      count: 2,
      stride: 8,
      fields: { VALUE: ro([7, 0], "Value") },
    },
    OTHER: {
      at: 0x34,
      title: "Between",
      clause: "3.7",
      unimplemented: "not needed",
      fields: { VALUE: rw([7, 0], "V") },
    },
    EACH: {
      at: 0x40,
      title: "Resets differ",
      clause: "3.8",
      count: 2,
      resets: [1, 0xff],
      fields: { VALUE: rw([7, 0], "Value") },
    },
    NONE: { at: 0x50, title: "Nothing in it", clause: "3.9", fields: {} },
  },
});
