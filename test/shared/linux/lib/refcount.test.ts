/** refcount_inc_not_zero() alone, and against the last put. */
import { expect, test } from "vitest";
import { get, result, resultOf, set } from "../../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { refcount_inc_not_zero } from "../../../../src/shared/linux/lib/refcount.ts";
import { element } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inNmi } from "../layer.ts";

const COUNT = element(Globals.offset.scenario, 0);
const FREED = 1;
const MISSED = 2;
const got = (cpu: Cpu): boolean => refcount_inc_not_zero(cpu, cpu.globals, COUNT);

test("counts, but not from 0; in NMI, too", () => {
  const [cpu] = boot(1) as [Cpu];
  expect([got(cpu), get(cpu, 0)]).toEqual([false, 0]);
  set(cpu, 0, 1);
  expect([got(cpu), get(cpu, 0)]).toEqual([true, 2]);
  inNmi(cpu, () => expect(got(cpu)).toBe(true));
  expect(get(cpu, 0)).toBe(3);
});
test("against the last put, and others who get and put: the object is freed once, and nobody gets it afterwards", () => {
  const seen = new Set<string>();
  const put = (cpu: Cpu): void => {
    if (cpu.mem.fetch_add(cpu.globals, COUNT, -1) === 1) result(cpu, cpu.id, FREED);
  };
  const getAndPut = (cpu: Cpu): void => {
    if (got(cpu)) put(cpu);
    else result(cpu, cpu.id, MISSED);
  };
  const { failure, exhausted } = exploreLayer(
    {
      name: "inc_not_zero",
      setup: (cpu) => set(cpu, 0, 1),
      cpus: [[put], [getAndPut], [getAndPut]],
      check: (cpu) => {
        const results = [0, 1, 2].map((id) => resultOf(cpu, id));
        seen.add(results.join(" "));
        const freed = results.filter((r) => r === FREED).length;
        return freed === 1 && get(cpu, 0) === 0
          ? undefined
          : `freed ${freed} times, ${get(cpu, 0)} references are left`;
      },
    },
    { bound: 3, exhaustive: 40_000 },
  );
  expect(failure).toBeUndefined();
  expect(exhausted).toBe(3);
  // Who frees; and who of the others has come too late.
  expect([...seen].toSorted()).toEqual(["0 0 1", "0 1 0", "0 1 2", "0 2 1", "1 0 0", "1 0 2", "1 2 0", "1 2 2"]);
});
