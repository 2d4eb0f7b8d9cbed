/** Overrides: only what differs counts, and the text of a token brings them back. */
import { expect, test } from "vitest";
import {
  differing,
  formatOverrides,
  type Overrides,
  parseOverrides,
  withOverrides,
} from "../../../src/main/explore/overrides.ts";
import { noisyLostUpdate } from "./subjects.ts";

const tiny = { ...noisyLostUpdate, globals: { tiny: 1 } };

test("what the scenario says itself is no override", () => {
  expect(differing(tiny, { nmis: 2, ticks: 0, model: 0, tiny: 1, irqwork_mode: 0, without: [] })).toEqual({});
  expect(differing(tiny, { nmis: 1, ticks: 2, tiny: 0 })).toEqual({ nmis: 1, ticks: 2, tiny: 0 });
  const { nmi: _, ...quiet } = tiny;
  expect(differing(quiet, { nmis: 5 })).toEqual({}); // Nothing would run.
});

test("the scenario is changed accordingly, and is not touched itself", () => {
  const changed = withOverrides(tiny, { nmis: 1, ticks: 4, irqwork_mode: 2, without: [0, 4] });
  expect(changed).toMatchObject({ name: tiny.name, nmis: 1, ticks: 4, globals: { tiny: 1, irqwork_mode: 2 } });
  const [first, second, third] = tiny.cpus;
  expect(changed.cpus).toEqual([first.slice(1), second.slice(0, 1), third]);
  expect(tiny.cpus.map((program) => program.length)).toEqual([3, 2, 1]);
});

test.each<[Overrides, string]>([
  [{}, ""],
  [{ nmis: 2, irqwork_mode: 1 }, "N2I1"],
  [{ model: 1, spurious: 2 ** 32 - 1 }, "M1S1z141z3"],
  [{ nolock_variant: 2, unbatched: 1, hooks: 37, rcu_min_cached_objs: 3, nohz: 1 }, "V2U1Z1H11P3"],
  [{ kernel_behaviour: 36, without: [0, 3, 40] }, "K10X0X3X14"],
])("%j is %s", (overrides, text) => {
  expect(formatOverrides(overrides)).toBe(text);
  expect(parseOverrides(text)).toEqual(overrides);
});

test.each(["N", "Q1", "N1N2", "I1N2", "n1", "M3", "N01", "N1 "])("%s is refused", (text) => {
  expect(() => parseOverrides(text)).toThrow(`the token's options '${text}' are not known here`);
});
