/** The words in which CPUs and interrupts leave objects for each other (layout/torture.ts), emptied at the end. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { NR_HANDOFF, NR_READABLE, TortureGlobals } from "../../shared/layout/torture.ts";
import { element, embedded, NULL } from "../../shared/mem/struct.ts";
import { free_stamped, retire } from "../../nmi/ordinary.ts";
import { free_nolock } from "../../nmi/traffic.ts";

const { torture: TORTURE } = Globals.offset;
const { readable: READABLE, handoff: HANDOFF, handoff_nolock: HANDOFF_NOLOCK } = TortureGlobals.offset;

/** Frees what the CPUs left for each other. @context Task, all other CPUs at rest */
export function empty_shared_words(cpu: Cpu): void {
  const { mem } = cpu;
  const torture = embedded(cpu.globals, TORTURE);
  for (let i = 0; i < NR_READABLE; i++) {
    const object = mem.xchg(torture, element(READABLE, i), NULL);
    if (object !== NULL) retire(cpu, object);
  }
  for (let i = 0; i < NR_HANDOFF; i++) {
    const object = mem.xchg(torture, element(HANDOFF, i), NULL);
    if (object !== NULL) free_stamped(cpu, object, false);
    const nolock_object = mem.xchg(torture, element(HANDOFF_NOLOCK, i), NULL);
    if (nolock_object !== NULL) free_nolock(cpu, nolock_object, false);
  }
}
