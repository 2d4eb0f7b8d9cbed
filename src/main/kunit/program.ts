/** The program of a machine that runs tests: CPU 0 runs one after the other, the others serve, and one destroys caches. */
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { TortureCpu } from "../../shared/layout/torture.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { embedded } from "../../shared/mem/struct.ts";
import type { Program } from "../../workers/program.ts";
import { quit_destroyer, run_destroyer } from "./destroyer.ts";
import { bind_overflow_handler } from "./nolock.ts";
import type { KunitResults } from "./results.ts";
import { type KunitCase, type KunitOptions, KunitTest, run_case } from "./test.ts";

const { stopping: STOPPING } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { ops: OPS } = TortureCpu.offset;

export interface KunitWork extends KunitOptions {
  /** Tests to run, by their position in the suite. */
  readonly cases: readonly number[];
}

export function programOf(suite: readonly KunitCase[], work: KunitWork, results: KunitResults): Program {
  const nothing = (): void => undefined;
  return {
    bind: bind_overflow_handler,
    setup: nothing,
    main: (cpu) => {
      if (cpu.id === 0) run_cases(cpu, suite, work, results);
      if (cpu.id === 1) run_destroyer(cpu);
    },
    nmi: nothing,
    irq: nothing,
    teardown: nothing,
    finish: nothing,
  };
}

function run_cases(cpu: Cpu, suite: readonly KunitCase[], work: KunitWork, results: KunitResults): void {
  const { mem, globals } = cpu;
  for (const index of work.cases) {
    if (mem.read_once(globals, STOPPING) !== 0) break;
    results.set(index, "running");
    const { state, lines } = run_case(new KunitTest(cpu, work), suite[index].run);
    if (mem.read_once(globals, STOPPING) !== 0) break; // It may have been cut short.
    results.set(index, state, lines);
    mem.count(embedded(cpu.home, TORTURE_CPU), OPS, 1);
  }
  if (cpu.map.shape.cpus > 1) quit_destroyer(cpu);
}
