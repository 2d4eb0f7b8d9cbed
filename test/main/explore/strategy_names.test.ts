/** The command line's table of strategies is that of the strategies themselves. */
import { expect, test } from "vitest";
import { STRATEGY_NAMES as NAMED } from "../../../src/main/explore/strategies/named.ts";
import {
  exhaustedBound,
  isExhaustive,
  STRATEGY_NAMES,
  strategyNamed,
} from "../../../src/main/explore/strategy_names.ts";

test("each has a summary, and no other", () => {
  expect(STRATEGY_NAMES.toSorted()).toEqual(NAMED.toSorted());
});
test("each can be made, and has exhausted nothing yet", () => {
  for (const name of STRATEGY_NAMES) {
    const strategy = strategyNamed(name, { seed: 1, preemptions: 2, depth: 3, injections: 1 });
    expect(exhaustedBound(strategy)).toBe(-1);
    expect(isExhaustive(strategy)).toBe(["portfolio", "bounded", "sleep-sets"].includes(name));
  }
});
