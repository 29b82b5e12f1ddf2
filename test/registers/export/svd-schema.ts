/**
 * The rules of CMSIS-SVD.xsd 1.3 for the elements that Armature writes: order and number of children, form of values. Enough to
 * notice a mistake without the schema at hand; `scripts/check-svd.sh` validates against the schema itself.
 */
interface Node {
  readonly name: string;
  readonly children: Node[];
  text: string;
}

/** Child, and how often: "1", "?", "*", "+". Children come in this order; a list of alternatives is written with "|". */
type Rule = readonly (readonly [child: string, times: string])[];

const PROPERTIES: Rule = [
  ["size", "?"],
  ["access", "?"],
  ["protection", "?"],
  ["resetValue", "?"],
  ["resetMask", "?"],
];
const DIM: Rule = [
  ["dim", "?"],
  ["dimIncrement", "?"],
  ["dimIndex", "?"],
];

const RULES: { readonly [element: string]: Rule } = {
  device: [
    ["vendor", "?"],
    ["name", "1"],
    ["series", "?"],
    ["version", "1"],
    ["description", "1"],
    ["addressUnitBits", "1"],
    ["width", "1"],
    ...PROPERTIES,
    ["peripherals", "1"],
  ],
  peripherals: [["peripheral", "+"]],
  peripheral: [
    ...DIM,
    ["name", "1"],
    ["version", "?"],
    ["description", "?"],
    ["groupName", "?"],
    ["baseAddress", "1"],
    ...PROPERTIES,
    ["addressBlock", "+"],
    ["interrupt", "*"],
    ["registers", "?"],
  ],
  addressBlock: [
    ["offset", "1"],
    ["size", "1"],
    ["usage", "1"],
  ],
  interrupt: [
    ["name", "1"],
    ["description", "?"],
    ["value", "1"],
  ],
  registers: [["register", "+"]],
  register: [
    ...DIM,
    ["name", "1"],
    ["displayName", "?"],
    ["description", "?"],
    ["addressOffset", "1"],
    ...PROPERTIES,
    ["dataType", "?"],
    ["modifiedWriteValues", "?"],
    ["readAction", "?"],
    ["fields", "?"],
  ],
  fields: [["field", "+"]],
  field: [
    ["name", "1"],
    ["description", "?"],
    ["lsb", "1"],
    ["msb", "1"],
    ["access", "?"],
    ["modifiedWriteValues", "?"],
    ["readAction", "?"],
    ["enumeratedValues", "?"],
  ],
  enumeratedValues: [
    ["name", "?"],
    ["usage", "?"],
    ["enumeratedValue", "+"],
  ],
  enumeratedValue: [
    ["name", "1"],
    ["description", "?"],
    ["value", "1"],
  ],
};

const NUMBER = /^(0x)?[0-9a-fA-F]+$/;
const DIMMABLE = /^[_A-Za-z][_A-Za-z0-9]*(\[%s\]|%s)?$/;
const VALUES: { readonly [element: string]: RegExp } = {
  ...Object.fromEntries(
    ["dim", "dimIncrement", "addressOffset", "resetValue", "resetMask", "lsb", "msb", "size", "offset"].map((n) => [
      n,
      NUMBER,
    ]),
  ),
  "register/name": DIMMABLE,
  "peripheral/name": DIMMABLE,
  "field/name": DIMMABLE,
  "enumeratedValue/name": /^[_A-Za-z0-9]+$/,
  "enumeratedValue/value": /^(0x[0-9a-fA-F]+|[0-9]+)$/,
  groupName: /^[A-Za-z_:][\w:.-]*$/,
  access: /^(read-only|write-only|read-write)$/,
  usage: /^registers$/,
  modifiedWriteValues: /^(oneToClear|oneToSet)$/,
  readAction: /^clear$/,
  description: /^[\u0020-\u00ff]+$/,
};

/** What is wrong with `text` as a CMSIS-SVD file: one line each, none if nothing is. */
export function svdProblems(text: string): string[] {
  const problems: string[] = [];
  check(parse(text), "", problems);
  return problems;
}

export function parse(text: string): Node {
  const root: Node = { name: "", children: [], text: "" };
  const open: Node[] = [root];
  for (const [, end, name, content] of text.matchAll(/<(\/?)([\w?]+)[^>]*>([^<]*)/g)) {
    if (name === "?xml") continue;
    if (end === "/") {
      const closed = open.pop();
      if (closed?.name !== name) throw new Error(`</${name}> closes <${closed?.name}>`);
      continue;
    }
    const node: Node = { name: name as string, children: [], text: plain(content as string) };
    (open[open.length - 1] as Node).children.push(node);
    open.push(node);
  }
  if (open.length !== 1 || root.children.length !== 1) throw new Error("not one root element");
  return root.children[0] as Node;
}

function plain(text: string): string {
  if (/&(?!(amp|lt|gt);)/.test(text)) throw new Error(`a bare & in "${text}"`);
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&").trim();
}

function check(node: Node, path: string, problems: string[]): void {
  const here = `${path}/${node.name}`;
  const rule = RULES[node.name];
  if (rule === undefined) {
    const parent = path.slice(path.lastIndexOf("/") + 1);
    const form = VALUES[`${parent}/${node.name}`] ?? VALUES[node.name];
    if (node.children.length > 0) problems.push(`${here}: unknown element with children`);
    else if (node.text === "") problems.push(`${here}: empty`);
    else if (form !== undefined && !form.test(node.text)) problems.push(`${here}: "${node.text}"`);
    return;
  }
  let at = 0;
  for (const [child, times] of rule) {
    let count = 0;
    for (; node.children[at]?.name === child; at++) count++;
    if (count === 0 && (times === "1" || times === "+")) problems.push(`${here}: no <${child}>`);
    if (count > 1 && (times === "1" || times === "?")) problems.push(`${here}: ${count} <${child}>`);
  }
  if (at < node.children.length) problems.push(`${here}: <${node.children[at]?.name}> is out of place`);
  for (const child of node.children) check(child, here, problems);
}
