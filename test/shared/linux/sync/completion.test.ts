import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import {
  complete,
  complete_all,
  completion_done,
  init_completion,
  reinit_completion,
  try_wait_for_completion,
  wait_for_completion,
} from "../../../../src/shared/linux/sync/completion.ts";
import { Completion } from "../../../../src/shared/layout/types.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inHardirq, inNmi, inSoftirq, room } from "../layer.ts";

function fresh(): { cpu: Cpu; x: Ptr<"completion"> } {
  const [cpu] = boot(1) as [Cpu];
  init_completion(cpu, room(cpu, 0));
  return { cpu, x: room(cpu, 0) };
}

test("each complete() lets one through", () => {
  const { cpu, x } = fresh();
  expect(completion_done(cpu, x)).toBe(false);
  expect(try_wait_for_completion(cpu, x)).toBe(false);
  complete(cpu, x);
  complete(cpu, x);
  expect(completion_done(cpu, x)).toBe(true);
  wait_for_completion(cpu, x);
  wait_for_completion(cpu, x);
  expect(completion_done(cpu, x)).toBe(false);
});
test("complete_all() lets everybody through, until reinit_completion()", () => {
  const { cpu, x } = fresh();
  complete_all(cpu, x);
  for (let i = 0; i < 3; i++) wait_for_completion(cpu, x);
  expect(completion_done(cpu, x)).toBe(true);
  reinit_completion(cpu, x);
  expect(completion_done(cpu, x)).toBe(false);
});

describe("contexts", () => {
  test.each([
    ["softirq", inSoftirq],
    ["hardirq", inHardirq],
  ] as const)("complete() is legal in %s, waiting is not", (_, run) => {
    const { cpu, x } = fresh();
    run(cpu, () => complete(cpu, x));
    wait_for_completion(cpu, x);
    expect(() => run(cpu, () => wait_for_completion(cpu, x))).toThrow("sleeps in atomic context");
  });
  test("complete() in NMI is a bug", () => {
    const { cpu, x } = fresh();
    expect(() => inNmi(cpu, () => complete(cpu, x))).toThrow("in NMI");
    const second = fresh();
    expect(() => inNmi(second.cpu, () => complete_all(second.cpu, second.x))).toThrow("in NMI");
  });
});

test("two waiters, two completers; the completion is not touched once both have returned", () => {
  const GONE = 0x5eed;
  const wait = (cpu: Cpu): void => {
    const x = room<"completion">(cpu, 0);
    wait_for_completion(cpu, x);
    const returned = room(cpu, 1);
    cpu.mem.store_word(returned + 4 * cpu.id, 1);
    if (cpu.mem.load_word(returned) !== 1 || cpu.mem.load_word(returned + 4) !== 1) return;
    cpu.mem.store_word(x, GONE); // Somebody else's memory from now on.
    cpu.mem.store_word(x + Completion.offset.waiters, GONE);
  };
  const finish = (cpu: Cpu): void => complete(cpu, room(cpu, 0));
  const { failure, exhausted } = exploreLayer(
    {
      name: "completion",
      setup: (cpu) => init_completion(cpu, room(cpu, 0)),
      cpus: [[wait], [wait], [finish], [finish]],
      check: (cpu) => {
        const x = room(cpu, 0);
        const intact = cpu.mem.load_word(x) === GONE && cpu.mem.load_word(x + Completion.offset.waiters) === GONE;
        return intact ? undefined : "touched after its waiters had returned";
      },
    },
    { bound: 1, exhaustive: 40_000 },
  );
  expect(failure).toBeUndefined();
  expect(exhausted).toBe(1);
});
