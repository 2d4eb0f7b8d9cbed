/** What happened in one execution, in words: the steps of all CPUs in their order, and what came between them. */

/** Kinds of code, by what they interrupt. */
export const LEVEL_TASK = 0;
export const LEVEL_IRQ = 1;
export const LEVEL_NMI = 2;

/** Name of a frame in which a CPU looks for something to do: its program has ended. */
export const IDLE = "idle";

/** One operation of a program, or one interrupt: what runs in it nests properly. */
export interface Frame {
  readonly cpu: number;
  readonly level: number;
  /** "op 1", "final", IDLE, "NMI", "IRQ", "TICK", ... */
  readonly name: string;
  /** The frame that this one interrupted. */
  readonly outer: Frame | undefined;
}
export interface Step {
  readonly what: "step";
  readonly frame: Frame;
  /** Kernel functions, outermost first. */
  readonly path: readonly string[];
  /** Method of Memory: "cmpxchg". */
  readonly method: string;
  readonly address: number;
  readonly word: string;
  /** "irq_work.flags"; "" if the layout does not say. */
  readonly field: string;
  readonly writes: boolean;
  readonly before: string;
  readonly after: string;
  /** False: the store went to the CPU's store buffer. */
  readonly visible: boolean;
}
type Between =
  | { readonly what: "switch"; readonly from: number; readonly to: number; readonly blocked: boolean }
  | { readonly what: "begin"; readonly frame: Frame; readonly chosen: boolean }
  | { readonly what: "end"; readonly frame: Frame }
  | { readonly what: "tick"; readonly jiffies: number; readonly forced: boolean }
  | {
      readonly what: "drain";
      readonly cpu: number;
      readonly word: string;
      readonly before: string;
      readonly after: string;
    };
export type TraceEvent = Step | Between;

export interface Trace {
  /** Of the lanes that `cpu` counts: "CPU 0", ...; second tasks of CPUs, if there are any, come behind the CPUs. */
  readonly names: readonly string[];
  readonly events: readonly TraceEvent[];
  /** Names of the objects that were touched or pointed to, by address. */
  readonly objects: ReadonlyMap<number, string>;
  /** How the machine stands at the end, in lines. */
  readonly finalState: readonly string[];
}
