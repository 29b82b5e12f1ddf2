/** Layout of a decoded operation; see docs/decisions/0001-cpu-engine.md. */
export const OPERATION_BYTES = 16;
/** Offsets of the four register operands. The fourth lies where else the immediate begins. */
export const PLACES = [2, 4, 6, 8] as const;
/** Small constant instead of the third register. */
export const AUX = 6;
export const IMMEDIATE = 8;
export const IMMEDIATE_HIGH = 12;
