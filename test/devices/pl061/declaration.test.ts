import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildPl061, devices } from "./device.ts";

describeDeclaration("PL061", buildPl061);
for (const [name, factory] of Object.entries(devices)) fuzzDevice(name, factory);
