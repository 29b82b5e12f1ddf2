import { fuzzDevice } from "../../registers/harness.ts";
import { devices } from "./device.ts";

// Accesses to registers at random, between them careless drivers and the outside world.
for (const [name, factory] of Object.entries(devices)) fuzzDevice(name, factory, { accesses: 10_000 });
