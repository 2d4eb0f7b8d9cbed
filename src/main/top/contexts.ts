/**
 * In which context each CPU is found when the host looks: a share of samples is a share of time. Peeks only, so it disturbs
 * nothing; a sample that meets a CPU between two words is one of very many.
 */
import { CONTEXT_NAMES, CpuSlot, CTX_TASK, NR_CONTEXTS } from "../../shared/layout/cpu.ts";
import { MAX_CONTEXTS } from "../../shared/base/limits.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { element, embedded } from "../../shared/mem/struct.ts";
import type { Seen } from "../slab/seen.ts";

const { slot: SLOT } = PerCpu.offset;
const { depth: DEPTH, contexts: CONTEXTS } = CpuSlot.offset;

export type Shares = Readonly<Record<(typeof CONTEXT_NAMES)[number], number>>;

export class ContextSampler {
  private readonly seen: Seen;
  private counts: number[][];

  constructor(seen: Seen) {
    this.seen = seen;
    this.counts = this.noCounts();
  }
  sample(): void {
    for (const [id, counts] of this.counts.entries()) counts[this.contextOf(id)]++;
  }
  /** Shares from 0 to 1 since the last call, by CPU; all 0 without a sample. */
  take(): readonly Shares[] {
    const { counts } = this;
    this.counts = this.noCounts();
    return counts.map((kinds) => {
      const all = Math.max(
        kinds.reduce((sum, n) => sum + n, 0),
        1,
      );
      return Object.fromEntries(CONTEXT_NAMES.map((name, kind) => [name, kinds[kind] / all])) as Shares;
    });
  }

  private noCounts(): number[][] {
    const { cpus } = this.seen.map.shape;
    return Array.from({ length: cpus }, () => Array.from({ length: NR_CONTEXTS }, () => 0));
  }
  private contextOf(id: number): number {
    const { mem, map } = this.seen;
    const slot = embedded(map.section(id), SLOT);
    const depth = mem.peek(slot, DEPTH);
    if (depth <= 0 || depth > MAX_CONTEXTS) return CTX_TASK;
    const kind = mem.peek(slot, element(CONTEXTS, depth - 1)) & 0xff;
    return kind < NR_CONTEXTS ? kind : CTX_TASK;
  }
}
