/** Tokens: what is written is read again, and nothing else is ever read. */
import { describe, expect, test } from "vitest";
import { UsageError } from "../../../src/main/errors.ts";
import type { Pick } from "../../../src/main/explore/strategy.ts";
import { formatToken, parseToken, type Token, withCheck } from "../../../src/main/explore/token.ts";
import { Random } from "../../../src/shared/base/random.ts";

const TYPICAL: Token = {
  scenario: "nolock-on-kfree-rcu",
  overrides: { nmis: 2, irqwork_mode: 1 },
  configuration: "aB3_",
  code: "Zz-9",
  schedule: [
    { lane: 0, access: 132, choice: 65 },
    { lane: 1, access: 17, choice: 64 },
    { lane: 0, access: 150, choice: 1 },
    { lane: 1, access: 391, choice: 212 },
  ],
  verdict: "QQ00",
};
const OF_A_FILE: Token = { ...TYPICAL, scenario: "./dir.d/mein Wettlauf.ts#ring-püffer", overrides: {}, schedule: [] };

function randomToken(random: Random): Token {
  const pick = <T>(of: readonly T[]): T => of[random.below(of.length)];
  const accesses = [0, 0, 0];
  const schedule: Pick[] = Array.from({ length: random.below(12) }, () => {
    const lane = random.below(3);
    accesses[lane] += random.below(pick([2, 100, 60_000]));
    return { lane, access: accesses[lane], choice: random.below(1024) };
  });
  return {
    scenario: pick(["T4", "T21+ticks", "irq_work-nmi", "./my-race.ts", "../a b/c~d%.ts#x", "/ä/€/😀.js"]),
    overrides: pick([
      {},
      { nmis: 0, ticks: 3 },
      { model: 2, tiny: 1, spurious: 2 ** 32 - 1 },
      { kernel_behaviour: 37, barrier_order: 2, without: [0, 7, 130] },
    ]),
    configuration: pick(["AAAA", "____", "a-b9"]),
    code: "0000",
    schedule,
    verdict: pick(["----", "zzzz"]),
  };
}

function refusal(text: string): string {
  try {
    return `accepted: ${JSON.stringify(parseToken(text))}`;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}
const REFUSED = /^(?:the token|".*" is no token: )[^\n\r]*$/;

test("what is written is read again", () => {
  const random = new Random(1);
  for (const token of [TYPICAL, OF_A_FILE, ...Array.from({ length: 500 }, () => randomToken(random))]) {
    const text = formatToken(token);
    expect(text).toMatch(/^s1\.[A-Za-z0-9_+\-/.~%]+$/);
    expect(parseToken(text)).toEqual(token);
  }
});

test("a typical token fits on a line", () => {
  expect(formatToken(TYPICAL).length).toBeLessThanOrEqual(80);
});

test("no character can be wrong, missing, added, or exchanged with its neighbour", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+/% \n";
  for (const token of [TYPICAL, OF_A_FILE]) {
    const text = formatToken(token);
    for (let i = 0; i < text.length; i++) {
      const [before, after] = [text.slice(0, i), text.slice(i + 1)];
      for (const other of alphabet) {
        if (other !== text[i]) expect(refusal(before + other + after)).toMatch(REFUSED);
        expect(refusal(before + other + text[i] + after)).toMatch(REFUSED);
      }
      expect(refusal(before + after)).toMatch(REFUSED);
      expect(refusal(before)).toMatch(REFUSED);
      if (after !== "" && after[0] !== text[i]) {
        expect(refusal(before + after[0] + text[i] + after.slice(1))).toMatch(REFUSED);
      }
    }
  }
});

test("garbage is refused in one line", () => {
  const random = new Random(2);
  for (let n = 0; n < 3000; n++) {
    const length = random.below(90);
    const noise = String.fromCharCode(...Array.from({ length }, () => random.below(n % 2 === 0 ? 128 : 65_536)));
    for (const text of [noise, `s1.${noise}`, `s1.T4.aaaa.bbbb.${noise}.cccc.ddd`]) {
      expect(refusal(text)).toMatch(REFUSED);
    }
  }
});

test.each([
  ["a decision that is cut off", "s1.T4.aaaa.bbbb.AAE.cccc"],
  ["a number that is cut off", "s1.T4.aaaa.bbbb.AAGB.cccc"],
  ["a number that is too large", "s1.T4.aaaa.bbbb.AP____8PAQ.cccc"],
  ["a CPU that nobody has", "s1.T4.aaaa.bbbb.IAEB.cccc"],
  ["a number in two ways", "s1.T4.aaaa.bbbb.AIEAAQ.cccc"],
  ["bits to spare", "s1.T4.aaaa.bbbb.AAEBx.cccc"],
  ["a name that is no text", "s1.T%zz.aaaa.bbbb.AAEB.cccc"],
  ["a name in two ways", "s1.T%34.aaaa.bbbb.AAEB.cccc"],
  ["options twice", "s1.T4~N1~N2.aaaa.bbbb.AAEB.cccc"],
])("%s was not written by sheaf", (_, fields) => {
  expect(refusal(withCheck(fields))).toBe("the token is not one that sheaf prints: copy it again");
});
test("such a token without the fault is fine", () => {
  expect(parseToken(withCheck("s1.T4.aaaa.bbbb.AAEB.cccc")).schedule).toEqual([{ lane: 0, access: 1, choice: 1 }]);
});

describe("the message says what is wrong", () => {
  const text = formatToken(TYPICAL);
  test.each([
    ["", '"" is no token: tokens begin with s1. and are printed with a failure'],
    ["hello", '"hello" is no token: tokens begin with s1. and are printed with a failure'],
    [text.replace("s1", "s2"), "the token has version 2, not 1: use the sheaf that printed it"],
    [`${text} `, `the token has " " as character ${text.length + 1}: copy it again`],
    ["s1.T4.aaaa", "the token ends too early: copy all of it"],
    [text.slice(0, -1), "the token is damaged or cut off: its last characters do not fit the rest: copy it again"],
  ])("%s", (bad, message) => {
    expect(refusal(bad)).toBe(message);
  });
});
