export { type BankOptions, type HooksOf, RegisterBank } from "./bank.ts";
export * from "./declare.ts";
export type { FieldMask, Hooks } from "./layout.ts";
