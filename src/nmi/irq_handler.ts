/**
 * What a device interrupt runs: the ordinary API as far as it is legal in hardirq (GFP_ATOMIC, kfree, kfree_rcu,
 * call_rcu), the nolock functions, and what the scenario adds. With PREEMPT_RT the ordinary API waits for locks: nolock only.
 */
import { bind_callback, invoke } from "../shared/cpu/callback_table.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { random_below } from "../shared/cpu/random.ts";
import { CB } from "../shared/layout/callbacks.ts";
import { GFP_ATOMIC } from "../shared/layout/gfp.ts";
import { Globals } from "../shared/layout/globals.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { TortureCpu } from "../shared/layout/torture.ts";
import { embedded, NULL } from "../shared/mem/struct.ts";
import { random_size } from "./objects.ts";
import { alloc_stamped, bind_ordinary, call_rcu_free, exchange, free_stamped, replace_readable } from "./ordinary.ts";
import { exchange_nolock, nolock_triple, raid_mailbox, read_briefly } from "./traffic.ts";

const { stopping: STOPPING } = Globals.offset;
const { torture: TORTURE } = PerCpu.offset;
const { irq_rounds: IRQ_ROUNDS } = TortureCpu.offset;

/** @context Hardirq */
export function irq_handler(cpu: Cpu): void {
  const { mem } = cpu;
  if (mem.read_once(cpu.globals, STOPPING) !== 0) return;
  const torture = embedded(cpu.home, TORTURE);
  const counter = mem.peek(torture, IRQ_ROUNDS);
  mem.poke(torture, IRQ_ROUNDS, counter + 1);
  switch (random_below(cpu, cpu.rt ? 4 : 8)) {
    case 0:
      nolock_triple(cpu, counter, random_size(cpu));
      break;
    case 1:
      exchange_nolock(cpu);
      break;
    case 2:
      raid_mailbox(cpu);
      break;
    case 3:
      read_briefly(cpu);
      break;
    case 4:
      exchange(cpu, GFP_ATOMIC);
      break;
    case 5:
      replace_readable(cpu, GFP_ATOMIC);
      break;
    case 6: {
      const object = alloc_stamped(cpu, random_size(cpu), GFP_ATOMIC);
      if (object !== NULL) call_rcu_free(cpu, object);
      break;
    }
    default: {
      const object = alloc_stamped(cpu, random_size(cpu), GFP_ATOMIC);
      if (object !== NULL) free_stamped(cpu, object, random_below(cpu, 2) === 0);
    }
  }
  invoke(cpu, CB.torture_irq, NULL);
}

/** Once per thread, before the machine starts. */
export function bind_irq_handler(): void {
  bind_ordinary();
  bind_callback(CB.irq_handler, irq_handler);
}
