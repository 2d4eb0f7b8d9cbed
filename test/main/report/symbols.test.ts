/** Addresses in words. */
import { expect, test } from "vitest";
import { addressName } from "../../../src/main/report/symbols.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { DeferredPercpuWork } from "../../../src/shared/layout/kvfree_rcu.ts";
import { MachineMap } from "../../../src/shared/layout/map.ts";
import { Page } from "../../../src/shared/layout/page.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { TortureCpu } from "../../../src/shared/layout/torture.ts";
import { element, embedded, offsetof } from "../../../src/shared/mem/struct.ts";

const map = new MachineMap({ bytes: 4 << 20, cpus: 2, nodes: 1 });
const dpw = embedded(map.section(1), PerCpu.offset.deferred_percpu_work);
const torture = embedded(map.section(0), PerCpu.offset.torture);

test.each([
  [map.globals + offsetof(Globals.offset.jiffies), "globals.jiffies"],
  [map.globals + Globals.offset.rcu_state, "globals.rcu_state.gp_seq"],
  [embedded(dpw, DeferredPercpuWork.offset.objects_by_rcu), "percpu[1].deferred_percpu_work.objects_by_rcu.first"],
  [torture + offsetof(element(TortureCpu.offset.mailbox, 3)), "percpu[0].torture.mailbox[3]"],
  [map.memMap + 5 * Page.size + offsetof(Page.offset.order), "mem_map[5].order"],
  [map.pages + 64, `0x${(map.pages + 64).toString(16)}`],
  [12, "12"],
  [-1, "0xffffffff"],
])("%i is %s", (address, name) => {
  expect(addressName(map, address)).toBe(name);
});
