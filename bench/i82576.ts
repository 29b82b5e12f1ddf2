/**
 * Frames a second through 82576 cards from a driver in TypeScript, on one core: PF and VF to and from the wire and from VF to VF, 64 and 1,518 bytes with check
 * sequence, without an SMMU and behind one that translates with 4 KiB pages and looks for forgotten invalidations; then the same frames
 * spread over 1 to 80 functions. Aim: 1 Gb/s of 1,500-byte packets (81,274 frames a second) faster than real time, SMMU on; cost a frame
 * that does not grow with the functions.
 */
import { SEC } from "../src/sim/index.ts";
import { type Card, type CardFunction, Cards, frame, type Translation } from "./support/cards.ts";
import { best, report } from "./support/measure.ts";

const FRAMES = 10_000;
const BURST = 64;
const AIM = 0.081274;
const ELSEWHERE = [9, 9] as const;

const wireTime = (length: number) => Math.ceil((BURST * (length + 24) * 8 * SEC) / 1e9);

/** FRAMES in bursts, from each of `senders` in turn. */
function send(
  cards: Cards,
  senders: readonly CardFunction[],
  length: number,
  refill: readonly CardFunction[] = [],
): void {
  for (let done = 0, turn = 0; done < FRAMES; done += BURST, turn++) {
    senders[turn % senders.length]?.send(length, BURST);
    cards.simulation.run(cards.simulation.now + wireTime(length));
    refill[turn % refill.length]?.refill();
  }
}

function receive(
  cards: Cards,
  receivers: readonly (readonly [Card, CardFunction])[],
  frames: readonly Uint8Array[],
): void {
  for (let done = 0, turn = 0; done < FRAMES; done += BURST, turn++) {
    const [card, receiver] = receivers[turn % receivers.length] as readonly [Card, CardFunction];
    const data = frames[turn % frames.length] as Uint8Array;
    receiver.refill();
    for (let n = 0; n < BURST; n++) card.device.core.receive(data);
    cards.simulation.run(cards.simulation.now + wireTime(data.length));
  }
}

function expectMoved(what: string, before: number, after: number): void {
  if (before === after) throw new Error(`${what}: no frame came through`);
}

const gbits = (m: number, length: number) => `${((m * 1e6 * length * 8) / 1e9).toFixed(1)} Gb/s`;

const SMMU: Record<Translation, string> = { off: "no SMMU", on: "SMMU, unchecked", compared: "SMMU" };
const which = (process.argv[2]?.split(",") ?? ["off", "compared"]) as Translation[];
for (const translation of which) {
  for (const length of [60, 1514]) {
    const aim = length === 60 ? undefined : AIM;
    const cards = new Cards(1, translation);
    const card = cards.cards[0] as Card;
    const [pf, vf0, vf1] = card.functions as [CardFunction, CardFunction, CardFunction];
    const line = (what: string, m: number) =>
      report(`${what} ${length + 4} bytes, ${SMMU[translation]}, ${gbits(m, length)}`, m, aim);
    for (const [who, fn] of [
      ["PF", pf],
      ["VF", vf0],
    ] as const) {
      fn.load(frame(length, ELSEWHERE));
      const { sent } = card;
      line(
        `${who} sends`,
        best(() => send(cards, [fn], length), FRAMES, 5),
      );
      expectMoved(`${who} sends`, sent, card.sent);
      const data = frame(length, fn.address);
      const got = fn.received;
      line(
        `${who} receives`,
        best(() => receive(cards, [[card, fn]], [data]), FRAMES, 5),
      );
      expectMoved(`${who} receives`, got, fn.received);
    }
    vf0.load(frame(length, vf1.address));
    const got = vf1.received;
    line(
      "VF to VF",
      best(() => send(cards, [vf0], length, [vf1]), FRAMES, 5),
    );
    expectMoved("VF to VF", got, vf1.received);
    if (cards.errors > 0) throw new Error(`${cards.errors} guest errors, the first: ${cards.firstError}`);
  }
}

for (const translation of which) {
  const machines = [1, 10].map((n) => new Cards(n, translation));
  const counts = [1, 2, 4, 8, 20, 40, 80];
  for (const count of counts) {
    const cards = machines[count > 8 ? 1 : 0] as Cards;
    const pairs = cards.cards.flatMap((card) => card.functions.map((fn) => [card, fn] as const)).slice(0, count);
    const functions = pairs.map(([, fn]) => fn);
    for (const fn of functions) fn.load(frame(1514, ELSEWHERE));
    const frames = functions.map((fn) => frame(1514, fn.address));
    const sent = best(() => send(cards, functions, 1514), FRAMES, 3);
    const received = best(() => receive(cards, pairs, frames), FRAMES, 3);
    report(`${count} functions send 1518 bytes, ${SMMU[translation]}`, sent, AIM);
    report(`${count} functions receive 1518 bytes, ${SMMU[translation]}`, received, AIM);
  }
}
