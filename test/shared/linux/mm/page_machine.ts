/**
 * A machine with pages only, on this thread. Any CPU may be called in any order; an NMI runs when the test says so, or
 * at the next visit of a named point.
 */
import { attachCpu, init_cpu_slots } from "../../../../src/shared/cpu/boot.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { FIRST_FREE_CALLBACK } from "../../../../src/shared/layout/callbacks.ts";
import { P_IRQ, P_NMI } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { MachineMap, type MachineShape } from "../../../../src/shared/layout/map.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { page_alloc_init } from "../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { BareMemory } from "../../../../src/shared/mem/bare_memory.ts";
import { SharedOracle } from "../../../../src/shared/mem/shared_oracle.ts";
import { embedded, type CallbackId } from "../../../../src/shared/mem/struct.ts";

const G = Globals.offset;
const CB_NMI = FIRST_FREE_CALLBACK as CallbackId;
export const CB_IRQ = (FIRST_FREE_CALLBACK + 1) as CallbackId;

class PointedMemory extends BareMemory {
  aimed = 0;
  action: () => void = () => undefined;
  override poll(point: number): void {
    if (point !== 0 && point === this.aimed) {
      this.aimed = 0;
      this.action();
    }
    super.poll(point);
  }
}

export class PageMachine {
  readonly cpus: readonly Cpu[];
  readonly oracle: SharedOracle;
  private readonly memories: readonly PointedMemory[];

  constructor(shape: Partial<MachineShape> = {}) {
    const full: MachineShape = { bytes: 2 << 20, cpus: 2, nodes: 1, ...shape };
    const buffer = new SharedArrayBuffer(full.bytes);
    const map = new MachineMap(full);
    const boot = new BareMemory(buffer, 0);
    boot.poke(map.globals, G.nr_cpus, full.cpus);
    boot.poke(map.globals, G.nr_nodes, full.nodes);
    boot.poke(map.globals, G.seed, 1);
    boot.poke(map.globals, G.panic_on_warn, 1);
    boot.poke(map.globals, G.online, (1 << full.cpus) - 1);
    boot.poke(map.globals, G.nmi_handler, CB_NMI);
    boot.poke(map.globals, G.irq_handler, CB_IRQ);
    init_cpu_slots(boot, map);
    this.oracle = SharedOracle.create(full.bytes, full.cpus);
    this.memories = Array.from(
      { length: full.cpus },
      (_, id) => new PointedMemory(buffer, embedded(map.section(id), PerCpu.offset.pending)),
    );
    this.cpus = this.memories.map((memory, id) => attachCpu(memory, map, id, 4, this.oracle));
    page_alloc_init(this.cpus[0]);
  }

  /** Runs `handler` in an NMI on `cpu`, now. */
  nmi(cpu: Cpu, handler: () => void): void {
    bind_callback(CB_NMI, handler);
    run_interrupt(cpu, P_NMI);
  }
  irq(cpu: Cpu, handler: () => void): void {
    bind_callback(CB_IRQ, handler);
    run_interrupt(cpu, P_IRQ);
  }
  /** When `cpu` next visits a named point: does `action` there, as if another CPU had done it at that moment. */
  at(cpu: Cpu, point: number, action: () => void): void {
    this.memories[cpu.id].aimed = point;
    this.memories[cpu.id].action = action;
  }
  nmiAt(cpu: Cpu, point: number, handler: () => void): void {
    this.at(cpu, point, () => this.nmi(cpu, handler));
  }
}
