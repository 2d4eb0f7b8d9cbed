/** What kfree_rcu() can do besides objects with a head: none needed, vmalloc areas, and a shrinker that hurries it. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { NR_READABLE, TortureGlobals } from "../../shared/layout/torture.ts";
import { kfree_rcu_mightsleep, kvfree_rcu, kvfree_rcu_mightsleep } from "../../shared/linux/api.ts";
import { vfree, vmalloc } from "../../shared/linux/mm/vmalloc.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { check_object, head_of, MAX_OBJECT, MIN_OBJECT, random_size, stamp_object } from "../../nmi/objects.ts";
import { alloc_stamped } from "../../nmi/ordinary.ts";

const { torture: TORTURE } = Globals.offset;
const { readable: READABLE } = TortureGlobals.offset;

/** Replaces an object that readers may be looking at, and frees the old one without its head. @context Task, may sleep */
export function update_mightsleep(cpu: Cpu): void {
  const slot = element(READABLE, random_below(cpu, NR_READABLE));
  const object = alloc_stamped(cpu, random_size(cpu), GFP_KERNEL);
  const old = cpu.mem.xchg(embedded(cpu.globals, TORTURE), slot, object);
  if (old === NULL) return;
  check_object(cpu, old, "updater");
  kfree_rcu_mightsleep(cpu, old);
}

/** Takes pages of the vmalloc area, and frees them in each of the ways there are. @context Task, may sleep */
export function vmalloc_and_free(cpu: Cpu): void {
  const size = MIN_OBJECT + random_below(cpu, MAX_OBJECT - MIN_OBJECT);
  const object = vmalloc(cpu, size) as Ptr as Ptr<"torture_object">;
  if (object === NULL) return;
  stamp_object(cpu, object, size, 0);
  check_object(cpu, object, "owner");
  const way = random_below(cpu, 4);
  if (way === 0) vfree(cpu, object);
  else if (way === 1) kvfree_rcu_mightsleep(cpu, object);
  else kvfree_rcu(cpu, object, head_of(cpu, object));
}
