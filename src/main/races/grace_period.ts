/**
 * A grace period against a reader in an NMI on a CPU that idles: nobody asks that CPU, it is seen to be idle, and the NMI
 * takes it out of that state for as long as it runs. Spec rcu 4.3, T25. The thing that the reader has found stays as it
 * is until the reader has finished, whichever way it is freed.
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { kmem_cache_free } from "../../shared/linux/mm/slub/kmalloc.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { call_rcu, synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { container_of, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { callbackId, get, set, type Operation } from "../explore/scenario.ts";
import { cache, FIRST_THING, FIRST_WORD, makeCache, makeThings, race, RCU, take, VALUE, type ThingPtr } from "./kit.ts";

/** Where readers find the thing. */
const ROOT = FIRST_WORD;
const LIVE = 1;

const reader: Operation = (cpu) => {
  if (cpu.id !== 0) return;
  rcu_read_lock(cpu);
  const thing = get(cpu, ROOT) as ThingPtr;
  for (let looks = thing === NULL ? 0 : 2; looks > 0; looks--) {
    if (cpu.mem.read(thing, VALUE) !== LIVE) bug(cpu, "the thing changed while a reader was looking at it");
  }
  rcu_read_unlock(cpu);
};
const unlink = (cpu: Cpu): ThingPtr => {
  set(cpu, ROOT, NULL);
  return take(cpu, 0);
};
const retire = (cpu: Cpu, thing: ThingPtr): void => {
  cpu.mem.write(thing, VALUE, 0);
  kmem_cache_free(cpu, cache(cpu), thing);
};

const freeAfterSync: Operation = (cpu) => {
  const thing = unlink(cpu);
  synchronize_rcu(cpu);
  retire(cpu, thing);
};

const againstReader = (how: string, summary: string, program: readonly Operation[], ticks = 0) =>
  race({
    name: `gp-nmi-reader-idle-${how}`,
    summary: `${summary} against a reader in an NMI on an idle CPU`,
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), 1);
      const thing = get(cpu, FIRST_THING) as ThingPtr;
      cpu.mem.write(thing, VALUE, LIVE);
      set(cpu, ROOT, thing);
    },
    cpus: [[], program],
    nmi: reader,
    ticks,
    callbacks: [(on, head) => retire(on, container_of(head as Ptr<"rcu_head">, RCU))],
  });

export default [
  againstReader("sync", "synchronize_rcu() and a free", [freeAfterSync]),
  againstReader("tick", "synchronize_rcu() and a free, with a tick,", [freeAfterSync], 1),
  againstReader("call-rcu", "call_rcu() of a free", [
    (cpu) => call_rcu(cpu, embedded(unlink(cpu), RCU), callbackId(0)),
    rcu_barrier,
  ]),
];
