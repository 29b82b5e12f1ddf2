// Random accesses of every width to configuration space of all functions of a hierarchy, to their BARs and to nothing; test function's registers.
import { describeDeclaration, fuzzDevice } from "../registers/harness.ts";
import { buildHierarchy, buildTestFunction } from "./device.ts";

describeDeclaration("PCIe test function", buildTestFunction);
fuzzDevice("PCIe test function", buildTestFunction, { accesses: 3_000 });
fuzzDevice("PCIe hierarchy", buildHierarchy, { accesses: 30_000 });
fuzzDevice("PCIe hierarchy, another seed", buildHierarchy, { accesses: 20_000, seed: 77 });
