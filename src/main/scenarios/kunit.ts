/**
 * Scenario kunit: the foreground of test_kmalloc_nolock_and_friends. Rounds of 1000 objects of a small struct, a union of
 * an rcu_head and a kvfree_rcu_head, or the latter alone if objects have small heads; round bit 0 chooses the gfp flags, bit 1 how they are freed. The interrupts' part
 * is the handlers' usual triple. After 1000 rounds it starts again.
 *
 * @kernel lib/tests/slub_kunit.c
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL, GFP_KERNEL_ACCOUNT } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { TortureCpu, TortureGlobals, TortureObject } from "../../shared/layout/torture.ts";
import { KvfreeRcuHead, RcuHead } from "../../shared/layout/types.ts";
import { kfree, kfree_rcu, kmalloc } from "../../shared/linux/api.ts";
import { embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import type { Scenario } from "./scenario.ts";

const { torture: TORTURE } = PerCpu.offset;
const { torture: TORTURE_GLOBALS } = Globals.offset;
const { head_bytes: HEAD_BYTES } = TortureGlobals.offset;
const { round: ROUND } = TortureCpu.offset;
const { kvfree_rcu: KVFREE_RCU } = TortureObject.offset;

const ROUNDS = 1000;
const OBJECTS = 1000;

function one_round(cpu: Cpu): void {
  const torture = embedded(cpu.home, TORTURE);
  const round = cpu.mem.read(torture, ROUND);
  const gfp = round & 1 ? GFP_KERNEL : GFP_KERNEL_ACCOUNT;
  const small = cpu.mem.peek(embedded(cpu.globals, TORTURE_GLOBALS), HEAD_BYTES) === KvfreeRcuHead.size;
  const objects: Ptr<"torture_object">[] = []; // Without a stamp: there is no room for one.
  for (let i = 0; i < OBJECTS; i++) {
    const object = kmalloc(cpu, small ? KvfreeRcuHead.size : RcuHead.size, gfp) as Ptr as Ptr<"torture_object">;
    if (object !== NULL) objects.push(object);
  }
  for (const object of objects) {
    if (round & 2) kfree_rcu(cpu, object, KVFREE_RCU);
    else kfree(cpu, object);
  }
  cpu.mem.write(torture, ROUND, (round + 1) % ROUNDS);
}

export const kunit: Scenario = { operation: one_round };
