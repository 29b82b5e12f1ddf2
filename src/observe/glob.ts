/** Glob patterns on dotted names: `*` any run of characters, `?` one character; letter case matters. */

/** Compiles `pattern` to a test on whole names. */
export function compileGlob(pattern: string): (name: string) => boolean {
  const source = [...pattern].map((c) => (c === "*" ? ".*" : c === "?" ? "." : c.replace(/[\\^$.|+()[\]{}]/, "\\$&")));
  const whole = new RegExp(`^${source.join("")}$`);
  return (name) => whole.test(name);
}

/**
 * Matches names of registers, "module.REGISTER": the pattern may start at any level of the module's path, so that `uart0.*`
 * finds `soc.uart0.UARTDR`. A pattern without a dot names modules.
 */
export function compileRegisterGlob(pattern: string): (module: string, register: string) => boolean {
  const test = compileGlob(pattern.includes(".") ? pattern : `${pattern}.*`);
  return (module, register) => {
    let name = `${module}.${register}`;
    for (;;) {
      if (test(name)) return true;
      const dot = name.indexOf(".");
      if (dot < 0 || dot === name.length - 1 - register.length) return false;
      name = name.slice(dot + 1);
    }
  };
}
