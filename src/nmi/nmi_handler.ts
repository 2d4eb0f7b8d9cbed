/**
 * What an NMI runs: the triple kmalloc_nolock / kfree_nolock / kfree_rcu_nolock of slub_kunit, now and then other things
 * that are legal there, and what the scenario adds. It calls only functions whose @context is Any.
 */
import { bind_callback, invoke } from "../shared/cpu/callback_table.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { CB } from "../shared/layout/callbacks.ts";
import { Globals } from "../shared/layout/globals.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { TortureCpu } from "../shared/layout/torture.ts";
import { embedded, NULL } from "../shared/mem/struct.ts";
import { random_size } from "./objects.ts";
import { exchange_nolock, nolock_triple, raid_mailbox, read_briefly, replace_readable_nolock } from "./traffic.ts";

const { stopping: STOPPING } = Globals.offset;
const { torture: TORTURE } = PerCpu.offset;
const { nmi_rounds: NMI_ROUNDS } = TortureCpu.offset;

/** @context NMI */
export function nmi_handler(cpu: Cpu): void {
  const { mem } = cpu;
  if (mem.read_once(cpu.globals, STOPPING) !== 0) return; // The machine comes to rest: nothing new.
  const torture = embedded(cpu.home, TORTURE);
  const counter = mem.peek(torture, NMI_ROUNDS); // NMIs do not nest: nobody else on this CPU counts.
  mem.poke(torture, NMI_ROUNDS, counter + 1);
  nolock_triple(cpu, counter, random_size(cpu));
  switch ((counter >>> 2) & 7) {
    case 0:
    case 4:
      exchange_nolock(cpu);
      break;
    case 1:
    case 5:
      raid_mailbox(cpu);
      break;
    case 2:
      replace_readable_nolock(cpu);
      break;
    case 6:
      read_briefly(cpu);
      break;
    default:
  }
  invoke(cpu, CB.torture_nmi, NULL);
}

/** Once per thread, before the machine starts. */
export function bind_nmi_handler(): void {
  bind_callback(CB.nmi_handler, nmi_handler);
}
