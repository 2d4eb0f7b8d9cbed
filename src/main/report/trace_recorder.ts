/**
 * TraceRecorder: watches one execution and keeps it as a Trace. Names are looked up at once, while memory is as the step
 * left it: an address that is the main sheaf of a CPU now may be a free object a few steps later.
 */
import { LOAD } from "../explore/engine/log.ts";
import type { Access, Recorder } from "../explore/recorder.ts";
import { P_ANY_NMI } from "../../shared/layout/cpu.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { BareMemory } from "../../shared/mem/bare_memory.ts";
import type { AnyStruct } from "../../shared/mem/struct.ts";
import { callPath } from "./call_path.ts";
import { finalState } from "./final_state.ts";
import { HeapSymbols } from "./heap_symbols.ts";
import { type Frame, IDLE, LEVEL_IRQ, LEVEL_NMI, LEVEL_TASK, type Trace, type TraceEvent } from "./trace.ts";
import { bits, PENDING_BITS } from "./values.ts";
import { LOOK_FOR_WORK } from "./waiting.ts";

export class TraceRecorder implements Recorder {
  private readonly map: MachineMap;
  private readonly mem: BareMemory;
  private readonly programLengths: readonly number[];
  private readonly further: readonly number[];
  private readonly symbols: HeapSymbols;
  private readonly events: TraceEvent[] = [];
  /** One array for each path: there are far fewer of them than steps. */
  private readonly paths = new Map<string, readonly string[]>();
  /** Innermost frame of each CPU. */
  private readonly frames: (Frame | undefined)[];

  /**
   * @param words   memory of the machine. @param programLengths  operations of each lane. @param shared  scenario.shared
   * @param further CPUs with a second task, in the order of their lanes
   */
  constructor(
    map: MachineMap,
    words: Int32Array,
    programLengths: readonly number[],
    shared?: AnyStruct,
    further: readonly number[] = [],
  ) {
    this.map = map;
    this.mem = new BareMemory(words.buffer as SharedArrayBuffer, 0);
    this.programLengths = programLengths;
    this.symbols = new HeapSymbols(map, this.mem, shared);
    this.further = further;
    this.frames = Array.from({ length: map.shape.cpus + further.length }, () => undefined);
  }
  private nameOf(lane: number): string {
    const { cpus } = this.map.shape;
    return lane < cpus ? `CPU ${lane}` : `CPU ${this.further[lane - cpus]}'`;
  }

  /** What was recorded. To be called while memory is as the execution left it. */
  trace(): Trace {
    const { map, mem, symbols, events } = this;
    const stands = this.frames.map((frame) => this.lastCall(frame));
    return {
      names: this.frames.map((_, lane) => this.nameOf(lane)),
      events,
      finalState: finalState(map, mem, symbols, stands),
      objects: symbols.objects,
    };
  }

  access({ lane, kind, address, before, after, visible }: Access): void {
    const { method, functions } = callPath();
    // Outside operations CPUs only look for work. Anything else is the scenario's check, which comes after the story.
    if ((this.frames[lane]?.name ?? IDLE) === IDLE && !LOOK_FOR_WORK.has(functions[0])) return;
    const word = this.symbols.word(address);
    this.events.push({
      what: "step",
      frame: this.frames[lane] ?? this.enter(lane, LEVEL_TASK, IDLE, false),
      path: this.intern(functions),
      method,
      address,
      word: word.name,
      field: word.field,
      writes: kind !== LOAD,
      before: this.symbols.value(word, before),
      after: this.symbols.value(word, after),
      visible,
    });
  }
  drained(lane: number, address: number, before: number, after: number): void {
    const word = this.symbols.word(address);
    const values = { before: this.symbols.value(word, before), after: this.symbols.value(word, after) };
    this.events.push({ what: "drain", cpu: lane, word: word.name, ...values });
  }

  operation(lane: number, n: number): void {
    const name = n < this.programLengths[lane] ? `op ${n + 1}` : "final";
    this.frames[lane] = undefined;
    this.enter(lane, LEVEL_TASK, name, false);
  }
  operationEnd(lane: number): void {
    this.leave(lane);
  }
  interrupt(lane: number, bit: number, chosen: boolean): void {
    if (this.frames[lane] === undefined) this.enter(lane, LEVEL_TASK, IDLE, false);
    const level = (bit & P_ANY_NMI) !== 0 ? LEVEL_NMI : LEVEL_IRQ;
    this.enter(lane, level, bits(PENDING_BITS, bit), chosen);
  }
  interruptEnd(lane: number): void {
    this.leave(lane);
  }
  switched(from: number, to: number, blocked: boolean): void {
    if (blocked && this.frames[from]?.name === IDLE) this.leave(from);
    this.events.push({ what: "switch", from, to, blocked });
  }
  tick(jiffies: number, forced: boolean): void {
    this.events.push({ what: "tick", jiffies, forced });
  }

  private enter(cpu: number, level: number, name: string, chosen: boolean): Frame {
    const frame: Frame = { cpu, level, name, outer: this.frames[cpu] };
    this.frames[cpu] = frame;
    this.events.push({ what: "begin", frame, chosen });
    return frame;
  }
  private leave(cpu: number): void {
    const frame = this.frames[cpu];
    if (frame === undefined) return;
    this.events.push({ what: "end", frame });
    this.frames[cpu] = frame.outer;
  }

  private lastCall(frame: Frame | undefined): string {
    const step = this.events.findLast((event) => event.what === "step" && event.frame === frame);
    const isOver = frame === undefined || frame.name === IDLE;
    return isOver || step?.what !== "step" ? "" : step.path.map((name) => `${name}()`).join(" > ");
  }
  private intern(path: readonly string[]): readonly string[] {
    const key = path.join();
    const known = this.paths.get(key) ?? path;
    this.paths.set(key, known);
    return known;
  }
}
