import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildPl011, devices } from "./device.ts";

describeDeclaration("PL011", buildPl011);
for (const [name, factory] of Object.entries(devices)) fuzzDevice(name, factory);
