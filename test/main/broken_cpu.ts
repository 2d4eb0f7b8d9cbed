/** CPU threads that go wrong, each in its own way, and only on CPU 1: what a torture run must turn into a verdict. */
import { runCpu, type CpuOutcome, type CpuTask } from "../../src/workers/cpu.ts";
import { bug, no_memory } from "../../src/shared/cpu/bug.ts";
import { local_irq_disable } from "../../src/shared/cpu/context.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { GFP_ATOMIC } from "../../src/shared/layout/gfp.ts";
import { kfree, kmalloc, LC, spin_lock_init, spin_lock_irqsave } from "../../src/shared/linux/api.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { TortureGlobals } from "../../src/shared/layout/torture.ts";
import { embedded, NULL } from "../../src/shared/mem/struct.ts";
import { empty_shared_words } from "../../src/main/scenarios/shared_words.ts";
import type { Program } from "../../src/workers/program.ts";

const { torture: TORTURE } = Globals.offset;
const { list_lock: LOCK } = TortureGlobals.offset;

const test_lock = (cpu: Cpu) => embedded(embedded(cpu.globals, TORTURE), LOCK);

const FAULTS = {
  none: () => undefined,
  bug: (cpu: Cpu) => bug(cpu, "a planted bug"),
  "bug under a lock": (cpu: Cpu) => {
    spin_lock_irqsave(cpu, test_lock(cpu));
    bug(cpu, "a planted bug");
  },
  throw: () => {
    throw new TypeError("a planted exception");
  },
  exit: () => process.exit(7),
  "endless loop of steps": (cpu: Cpu) => {
    for (;;) cpu.mem.relax();
  },
  "endless loop of steps, IRQs off": (cpu: Cpu) => {
    local_irq_disable(cpu);
    for (;;) cpu.mem.relax();
  },
  "endless loop without steps": () => {
    for (;;);
  },
  "irq_work/N exits": () => undefined,
  "no memory": (cpu: Cpu) => no_memory(cpu, "what is needed later"),
  leak: (cpu: Cpu) => void kmalloc(cpu, 100, GFP_ATOMIC),
} as const satisfies Record<string, (cpu: Cpu) => void>;
export type Fault = keyof typeof FAULTS;

/** The scenario's name says what goes wrong, after some operations; it is put there by the test. */
export default function brokenCpu(task: CpuTask & { readonly scenarios: readonly string[] }): CpuOutcome {
  const fault: () => (cpu: Cpu) => void = () => FAULTS[task.scenarios[0] as Fault];
  if (task.scenarios[0] === "exit" && task.cpu === 1 && task.scenarios[1] === "in boot") process.exit(7);
  if (task.scenarios[0] === "irq_work/N exits" && task.cpu === 1 && task.index === 1) process.exit(7);
  let operations = 0;
  const program: Program = {
    bind: () => undefined,
    setup(cpu) {
      spin_lock_init(cpu, test_lock(cpu), LC.test);
      if (task.scenarios[1] === "in set-up") fault()(cpu);
    },
    operation(cpu) {
      const object = kmalloc(cpu, 64, GFP_ATOMIC);
      if (object !== NULL) kfree(cpu, object);
      if (cpu.id === 1 && ++operations === 100) fault()(cpu);
    },
    nmi: () => undefined,
    irq: () => undefined,
    teardown: () => undefined,
    finish: empty_shared_words, // Where the interrupt handlers leave objects.
  };
  return runCpu(task, program);
}
