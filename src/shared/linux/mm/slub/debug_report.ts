/**
 * Reports of slub debugging: what is wrong with an object or a slab, and what has been done about it. mm/slub.c; spec slub
 * 10.4.
 *
 *   object_err   a report with the object's tracks and bytes
 *   slab_err     a report with what the slab word says
 *   slab_fix     what was repaired
 *
 * While a test of the slub suite runs nothing is printed: reports and repairs are counted in slab_errors.
 * Text is made from peeks: a report takes no step, and is not made again when an operation is executed again.
 *
 * Context: any, NMI included. A report is a warning: where panic_on_warn is set it stops the machine.
 */
import { count_warning } from "../../../cpu/bug.ts";
import { this_cpu_ptr, type Cpu } from "../../../cpu/cpu.ts";
import { printk } from "../../../cpu/printk.ts";
import { stack_trace_save } from "../../../cpu/stacktrace.ts";
import { Globals } from "../../../layout/globals.ts";
import { KERN_ERR } from "../../../layout/printk.ts";
import { PerCpu } from "../../../layout/percpu.ts";
import { SlubCpu } from "../../../layout/slab.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { cache_name } from "./cache_name.ts";
import { is_our_object, print_section, print_slab_info, print_trailer } from "./debug_trailer.ts";
import type { Slot } from "./slot.ts";

const { slub: SLUB } = PerCpu.offset;
const { slab_reports: REPORTS, slab_errors: ERRORS } = SlubCpu.offset;
const { slab_kunit: KUNIT, tainted: TAINTED } = Globals.offset;

/** In globals.tainted: there was a report. @kernel include/linux/panic.h */
const TAINT_BAD_PAGE = 1 << 5;

/** "Not tainted", or "Tainted: B". @kernel kernel/panic.c */
function print_tainted(cpu: Cpu): string {
  return cpu.mem.peek(cpu.globals, TAINTED) & TAINT_BAD_PAGE ? "Tainted: B" : "Not tainted";
}

/** Does a test of the slub suite run? @kernel mm/slub.c @context Any. No step. */
export function slab_in_kunit_test(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.globals, KUNIT) !== 0;
}
/** Such a test begins: from now on reports are counted, from 0. @context Task, nobody else reports */
export function slab_kunit_begin(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) cpu.mem.poke(slub_cpu(cpu, id), ERRORS, 0);
  cpu.mem.poke(cpu.globals, KUNIT, 1);
}
export function slab_kunit_end(cpu: Cpu): void {
  cpu.mem.poke(cpu.globals, KUNIT, 0);
}
/** Reports and repairs that were counted since slab_kunit_begin(). Exact when no CPU counts. */
export function slab_errors(cpu: Cpu): number {
  return sum_over_cpus(cpu, ERRORS);
}
/** Reports that were printed since boot. Exact when no CPU reports. */
export function slab_reports(cpu: Pick<Cpu, "mem" | "map">): number {
  return sum_over_cpus(cpu, REPORTS);
}
function slub_cpu({ map }: Pick<Cpu, "map">, id: number): Ptr<"slub_cpu"> {
  return (map.section(id) + SLUB) as Ptr<"slub_cpu">;
}
function sum_over_cpus(cpu: Pick<Cpu, "mem" | "map">, counter: typeof ERRORS): number {
  let sum = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) sum += cpu.mem.peek(slub_cpu(cpu, id), counter);
  return sum;
}

/** Counts a report or repair that a test expects. @kernel mm/slub.c @returns true: it is not to be printed. @context Any */
export function slab_add_kunit_errors(cpu: Cpu): boolean {
  if (!slab_in_kunit_test(cpu)) return false;
  cpu.mem.count(this_cpu_ptr(cpu, SLUB), ERRORS, 1);
  return true;
}

/** The head of a report. @kernel mm/slub.c */
function slab_bug(cpu: Cpu, s: Ptr<"kmem_cache">, reason: string): string[] {
  const name = s === NULL ? "<unknown>" : cache_name(cpu, s);
  return ["=".repeat(77), `BUG ${name} (${print_tainted(cpu)}): ${reason}`, "-".repeat(77), ""];
}
/**
 * Prints a report: no step. `body` makes its lines, which is not done when an operation is executed again.
 * @param before  lines before its head
 */
function report(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  reason: string,
  body: () => string[],
  before: readonly string[] = [],
): void {
  const name = s === NULL ? "<unknown>" : cache_name(cpu, s);
  if (!cpu.mem.rebuilding) {
    const found_by = ["Found by:", ...stack_trace_save().map((frame) => ` ${frame}`)];
    printk(cpu, KERN_ERR, [...before, ...slab_bug(cpu, s, reason), ...body(), ...found_by].join("\n"));
  }
  cpu.mem.count(this_cpu_ptr(cpu, SLUB), REPORTS, 1);
  cpu.mem.poke(cpu.globals, TAINTED, TAINT_BAD_PAGE);
  count_warning(cpu, `BUG ${name}: ${reason}`);
}

/** Something is wrong with an object. @kernel mm/slub.c @param before  lines before the report @context Any */
export function object_err(
  cpu: Cpu,
  slot: Slot,
  slab: Ptr<"slab">,
  object: Ptr,
  reason: string,
  before: readonly string[] = [],
): void {
  if (slab_add_kunit_errors(cpu)) return;
  object_report(cpu, slot, slab, object, reason, before);
}
/** The same where it has been counted already. */
export function object_report(
  cpu: Cpu,
  slot: Slot,
  slab: Ptr<"slab">,
  object: Ptr,
  reason: string,
  before: readonly string[],
): void {
  const body = (): string[] =>
    is_our_object(cpu, slot, slab, object)
      ? print_trailer(cpu, slot, slab, object)
      : [print_slab_info(cpu, slot, slab), `Invalid pointer 0x${object.toString(16)}`];
  report(cpu, slot.s, reason, body, before);
}
/** Something is wrong with a slab; with `section`, these bytes of it are shown. @kernel mm/slub.c @context Any */
export function slab_err(
  cpu: Cpu,
  slot: Slot,
  slab: Ptr<"slab">,
  reason: string,
  section?: { readonly label: string; readonly start: number; readonly bytes: number },
): void {
  if (slab_add_kunit_errors(cpu)) return;
  slab_report(cpu, slot, slab, reason, () =>
    section === undefined ? [] : print_section(cpu, section.label, section.start, section.bytes),
  );
}
/** The same where it has been counted already; `body` makes more lines. */
export function slab_report(cpu: Cpu, slot: Slot, slab: Ptr<"slab">, reason: string, body: () => string[]): void {
  report(cpu, slot.s, reason, () => [...body(), print_slab_info(cpu, slot, slab)]);
}
/** One more line about an object or slab that has been reported. @context Any. No step. */
export function slab_note(cpu: Cpu, line: string): void {
  printk(cpu, KERN_ERR, line);
}
/** Something has been repaired. @kernel mm/slub.c @context Any. No step. */
export function slab_fix(cpu: Cpu, { s }: Slot, what: string): void {
  if (slab_add_kunit_errors(cpu)) return;
  printk(cpu, KERN_ERR, `FIX ${cache_name(cpu, s)}: ${what}`);
}
