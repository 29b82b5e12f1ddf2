/** Something the user gave is wrong. The message says what, where and what was expected; hosts show it and exit with code 2. */
export class InputError extends Error {
  override readonly name = "InputError";
}
