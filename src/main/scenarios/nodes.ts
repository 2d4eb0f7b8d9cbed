/** Objects of a node of one's choice, for machines with several: local and remote allocations, local and remote frees. */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { __GFP_THISNODE, GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { kmalloc_node } from "../../shared/linux/api.ts";
import { is_kfence_address } from "../../shared/linux/mm/debug/kfence_pool.ts";
import { slab_nid, virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { random_size, stamp_object } from "../../nmi/objects.ts";
import { free_stamped } from "../../nmi/ordinary.ts";

/** More than a sheaf holds, so that slabs of the node are looked for. */
const MOST = 64;

/** Allocates on one node, if there are several, and frees again. @context Task, may sleep */
export function objects_of_node(cpu: Cpu): void {
  const { nodes } = cpu.map.shape;
  if (nodes === 1) return;
  const node = random_below(cpu, nodes);
  const only = random_below(cpu, 2) === 0;
  const size = random_size(cpu);
  const objects: Ptr<"torture_object">[] = [];
  for (let left = 1 + random_below(cpu, MOST); left > 0; left--) {
    const object = kmalloc_node(cpu, size, only ? GFP_KERNEL | __GFP_THISNODE : GFP_KERNEL, node);
    if (object === NULL) continue;
    if (only && !is_kfence_address(cpu, object)) check_node(cpu, object, node);
    objects.push(object as Ptr as Ptr<"torture_object">);
    stamp_object(cpu, object as Ptr as Ptr<"torture_object">, size, 0);
  }
  for (const object of objects) free_stamped(cpu, object, random_below(cpu, 4) === 0);
}
function check_node(cpu: Cpu, object: Ptr, node: number): void {
  const found = slab_nid(cpu, virt_to_slab(cpu, object));
  if (found !== node)
    bug(cpu, `kmalloc_node() with __GFP_THISNODE: node ${node} is asked for, but this is of ${found}`);
}
