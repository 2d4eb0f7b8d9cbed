/** Addresses in words. */
import { expect, test } from "vitest";
import { addressName } from "../../../src/main/report/symbols.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { DeferredPercpuWork } from "../../../src/shared/layout/kvfree_rcu.ts";
import { MachineMap } from "../../../src/shared/layout/map.ts";
import { Page } from "../../../src/shared/layout/page.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { TortureCpu } from "../../../src/shared/layout/torture.ts";
import { VmapArea } from "../../../src/shared/layout/vmalloc.ts";
import { element, embedded, offsetof } from "../../../src/shared/mem/struct.ts";

const map = new MachineMap({ bytes: 4 << 20, cpus: 2, nodes: 1 });
const dpw = embedded(map.section(1), PerCpu.offset.deferred_percpu_work);
const torture = embedded(map.section(0), PerCpu.offset.torture);

test.each([
  [map.globals + offsetof(Globals.offset.jiffies), "jiffies"],
  [map.globals + Globals.offset.rcu_state, "rcu_state.gp_seq"],
  [embedded(dpw, DeferredPercpuWork.offset.objects_by_rcu), "cpu1.deferred_percpu_work.objects_by_rcu"],
  [torture + offsetof(element(TortureCpu.offset.mailbox, 3)), "cpu0.torture.mailbox[3]"],
  [map.memMap + 5 * Page.size + offsetof(Page.offset.order), "mem_map[5].order"],
  [map.vmapAreas - 64, `mem_map[${(map.vmapAreas - map.memMap) / Page.size - 1}].flags`],
  [map.vmapAreas + 7 * VmapArea.size + offsetof(VmapArea.offset.va_end), "vmap_areas[7].va_end"],
  [map.globals + offsetof(element(Globals.offset.scenario, 3)), "x3"],
  [map.globals + offsetof(element(Globals.offset.scenario, 129)), "r1"],
  [map.pages + 64, `0x${(map.pages + 64).toString(16)}`],
  [12, "12"],
  [-1, "0xffffffff"],
])("%i is %s", (address, name) => {
  expect(addressName(map, address)).toBe(name);
});
