/** Executions as a test tells them: steps of frames, in order, with their paths and words. */
import {
  LEVEL_NMI,
  LEVEL_TASK,
  type Frame,
  type Step,
  type Trace,
  type TraceEvent,
} from "../../../src/main/report/trace.ts";

export class Story {
  readonly events: TraceEvent[] = [];
  private readonly addresses = new Map<string, number>();
  private readonly cpus: number;

  constructor(cpus: number) {
    this.cpus = cpus;
  }
  /** An operation begins on a CPU. */
  task(cpu: number, name = "op 1"): Frame {
    return this.begin({ cpu, level: LEVEL_TASK, name, outer: undefined });
  }
  nmi(outer: Frame): Frame {
    return this.begin({ cpu: outer.cpu, level: LEVEL_NMI, name: "NMI", outer });
  }
  private begin(frame: Frame): Frame {
    this.events.push({ what: "begin", frame, chosen: frame.level === LEVEL_NMI });
    return frame;
  }
  end(frame: Frame): void {
    this.events.push({ what: "end", frame });
  }
  switchTo(from: number, to: number, blocked = false): void {
    this.events.push({ what: "switch", from, to, blocked });
  }
  read(frame: Frame, path: string, word: string, value: string, more: Partial<Step> = {}): void {
    this.step(frame, path, word, value, value, { method: "read_once", ...more });
  }
  write(frame: Frame, path: string, word: string, before: string, after: string, more: Partial<Step> = {}): void {
    this.step(frame, path, word, before, after, { method: "cmpxchg", writes: true, ...more });
  }
  private step(frame: Frame, path: string, word: string, before: string, after: string, more: Partial<Step>): void {
    const address = this.addresses.get(word) ?? 0x1000 + 8 * this.addresses.size;
    this.addresses.set(word, address);
    const step = { what: "step", frame, path: path.split(" "), method: "", address, word, field: "" } as const;
    this.events.push({ ...step, writes: false, before, after, visible: true, ...more });
  }
  trace(more: Partial<Trace> = {}): Trace {
    return {
      names: Array.from({ length: this.cpus }, (_, cpu) => `CPU ${cpu}`),
      events: this.events,
      objects: new Map(),
      finalState: [],
      ...more,
    };
  }
}

/** An NMI between llist_add() and irq_work_queue() of another producer, and a barrier that comes then. */
export function nestedProducer(): Story {
  const story = new Story(2);
  const objects = "cpu0.deferred_percpu_work.objects_by_rcu";
  const flags = "cpu0.deferred_percpu_work.work.flags";
  const task = story.task(0);
  story.read(task, "kfree_rcu_nolock virt_to_slab", "slab(page 9).type", "2");
  story.read(task, "kfree_rcu_nolock push llist_add", objects, "NULL");
  story.write(task, "kfree_rcu_nolock push llist_add", objects, "NULL", "things#0+8");
  const nmi = story.nmi(task);
  story.read(nmi, "nmi kfree_rcu_nolock push llist_add", objects, "things#0+8");
  story.write(nmi, "nmi kfree_rcu_nolock push llist_add", objects, "things#0+8", "things#1+8");
  story.end(nmi);
  story.switchTo(0, 1);
  const barrier = story.task(1);
  story.read(barrier, "kvfree_rcu_barrier_on_cache irq_work_sync", flags, "0");
  for (let i = 0; i < 20; i++) story.read(barrier, "kvfree_rcu_barrier_on_cache rcu_barrier", `rcu_state.w${i}`, "0");
  return story;
}
