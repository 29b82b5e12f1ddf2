import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildPl031, devices } from "./device.ts";

describeDeclaration("PL031", buildPl031);
for (const [name, factory] of Object.entries(devices)) fuzzDevice(name, factory);
