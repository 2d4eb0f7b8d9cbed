/**
 * Coverage: which pairs (coverage_counts.ts) the executions of one scenario reach. It answers two questions: has the
 * search seen what it should, and does it still see anything new?
 *
 * A stack is expensive, so a function's name is looked up once for each place, and remembered under the last accesses
 * that led there: the same four accesses with the same values are nearly always the same code. Where they are not, a pair
 * is missed, or gets the name of a neighbour: measured, about one in fifty.
 */
import { current_context } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { CpuSlot, P_ANY_NMI, P_TICK } from "../../shared/layout/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { GP_STATE_NAMES, RcuState } from "../../shared/layout/rcu.ts";
import { RCU_SEQ_STATE_MASK } from "../../shared/linux/rcu/rcu_seq.ts";
import { embedded } from "../../shared/mem/struct.ts";
import { CoverageCounts } from "./coverage_counts.ts";
import { interruptRuns, standingIn } from "./coverage_stack.ts";
import type { Access, Recorder } from "./recorder.ts";
import type { Operation } from "./scenario.ts";

const { point: POINT } = CpuSlot.offset;
const { rcu_state: RCU_STATE } = Globals.offset;
const { gp_seq: GP_SEQ, gp_state: GP_STATE, num_nodes: NUM_NODES } = RcuState.offset;

/** Places whose function is remembered. When there are more, all are looked up again. */
const MAX_PLACES = 1 << 17;
const NO_NAME = "";
/** Above all pending bits. */
const STEP = 1 << 10;
/** In place of the number of an operation. */
const IDLE = -1;

/** An interrupt that is running. */
interface Interrupt {
  readonly interrupted: string;
  /** Place of the code that it interrupted, to go back to. */
  readonly place: number;
  /** What it was last seen to run, and a number that stands for the interrupt and all that it ran. */
  runs: string;
  salt: number;
}

/** Where a lane stands. */
class Place {
  /** Stands for the last four accesses; each shifts the older ones out by a byte. */
  hash = 0;
  operation = "idle";
  readonly interrupts: Interrupt[] = [];

  begin(seed: number): void {
    this.hash = mix(seed);
  }
  /** @param found  decides about the way from here. */
  access(kind: number, address: number, found: number): void {
    this.hash = (this.hash << 8) ^ mix(address ^ (kind << 27) ^ mix(found));
  }
}
/** For an interrupt that ran no kernel code. */
function vectorName(bit: number): string {
  if (bit & P_ANY_NMI) return "NMI";
  return bit === P_TICK ? "tick" : "IRQ";
}
function mix(n: number): number {
  const product = Math.imul(n, 0x9e3779b1);
  return product ^ (product >>> 15);
}

export class Coverage implements Recorder {
  readonly counts = new CoverageCounts();
  private readonly cpus: readonly Cpu[];
  private readonly programs: readonly (readonly Operation[])[];
  private readonly hasRcu: boolean;
  private places: readonly Place[] = [];
  private readonly standing = new Map<number, string>();
  private readonly running = new Map<number, string>();

  /** @param cpus  of the machine as it is before the first execution. @param programs  what they run. */
  constructor(cpus: readonly Cpu[], programs: readonly (readonly Operation[])[]) {
    this.cpus = cpus;
    this.programs = programs;
    const [cpu] = cpus;
    this.hasRcu = cpu.mem.peek(embedded(cpu.globals, RCU_STATE), NUM_NODES) !== 0;
    this.begin();
  }

  /** An execution starts; the one before may have ended anywhere. */
  begin(): void {
    this.places = this.cpus.map(() => new Place());
  }
  end(): void {
    this.counts.executions++;
  }

  operation(lane: number, n: number): void {
    const place = this.places[lane];
    place.begin(n);
    place.operation = this.operationName(lane, n);
    this.notePhase(lane, place.operation);
  }
  operationEnd(lane: number): void {
    const place = this.places[lane];
    place.begin(IDLE);
    place.operation = "idle";
  }
  access({ lane, kind, address, before }: Access): void {
    const place = this.places[lane];
    place.access(kind, address, before);
    const interrupt = place.interrupts.at(-1);
    if (interrupt !== undefined) this.noteInterrupt(place, interrupt);
  }
  point(lane: number, point: number): void {
    this.note(this.counts.visits.add(point, current_context(this.cpus[lane])));
  }
  interrupt(lane: number, bit: number): void {
    const cpu = this.cpus[lane];
    const place = this.places[lane];
    const point = cpu.mem.peek(cpu.slot, POINT);
    const isNmi = (bit & P_ANY_NMI) !== 0;
    if (point !== 0) this.note(this.counts[isNmi ? "nmis" : "irqs"].add(point, current_context(cpu)));
    const interrupted = this.lookUp(this.standing, place.hash ^ mix(point + 1), standingIn) || place.operation;
    this.notePhase(lane, interrupted);
    place.interrupts.push({ interrupted, place: place.hash, runs: NO_NAME, salt: bit });
    place.begin(bit);
  }
  interruptEnd(lane: number, bit: number): void {
    const place = this.places[lane];
    const interrupt = place.interrupts.pop();
    if (interrupt === undefined) return;
    place.hash = interrupt.place;
    if (interrupt.runs === NO_NAME) this.note(this.counts.interrupts.add(interrupt.interrupted, vectorName(bit)));
  }

  private noteInterrupt(place: Place, interrupt: Interrupt): void {
    const runs = this.lookUp(this.running, place.hash ^ mix(interrupt.salt), interruptRuns);
    if (runs === NO_NAME || runs === interrupt.runs) return;
    interrupt.runs = runs;
    interrupt.salt += STEP;
    this.note(this.counts.interrupts.add(interrupt.interrupted, runs));
  }
  private lookUp(names: Map<number, string>, hash: number, find: () => string | undefined): string {
    const key = hash >>> 2; // Small enough for V8 to keep it unboxed.
    let name = names.get(key);
    if (name === undefined) {
      if (names.size === MAX_PLACES) names.clear();
      name = find() ?? NO_NAME;
      names.set(key, name);
    }
    return name;
  }
  private notePhase(lane: number, what: string): void {
    if (!this.hasRcu) return;
    const cpu = this.cpus[lane];
    const state = embedded(cpu.globals, RCU_STATE);
    const running = (cpu.mem.peek(state, GP_SEQ) & RCU_SEQ_STATE_MASK) !== 0;
    const phase = `${GP_STATE_NAMES[cpu.mem.peek(state, GP_STATE)] ?? "?"}${running ? ", in a grace period" : ""}`;
    this.note(this.counts.phases.add(phase, what));
  }
  private operationName(lane: number, n: number): string {
    const operation = this.programs[lane]?.[n];
    if (operation === undefined) return "final operation";
    return operation.name === "" ? `CPU ${lane} operation ${n + 1}` : operation.name;
  }
  private note(isNew: boolean): void {
    if (isNew) this.counts.lastNew = this.counts.executions + 1;
  }
}
