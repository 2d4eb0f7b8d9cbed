/**
 * How a machine stands at the end of an execution: each CPU's contexts, locks and pending work, the lists on which
 * something waits, and the words of the scenario. Read from outside, in the middle of anything.
 */
import { describe_context } from "../../shared/cpu/context.ts";
import { Cpu } from "../../shared/cpu/cpu.ts";
import { CpuPending } from "../../shared/layout/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { IrqWork, IrqWorkCpu } from "../../shared/layout/irq_work.ts";
import {
  DeferredPercpuWork,
  FREE_N_CHANNELS,
  KFREE_N_BATCHES,
  KfreeRcuCpu,
  KfreeRcuCpuWork,
  KvfreeRcuBulkData,
} from "../../shared/layout/kvfree_rcu.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { NolockRfc } from "../../shared/layout/nolock_rfc.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuData, RcuSegcblist } from "../../shared/layout/rcu.ts";
import { ListHead } from "../../shared/layout/types.ts";
import { describe_held_locks } from "../../shared/linux/sync/lockdep.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import { NULL_ORACLE } from "../../shared/mem/oracle.ts";
import { embedded, embedded_at, offsetof } from "../../shared/mem/struct.ts";
import type { HeapSymbols } from "./heap_symbols.ts";

const P = PerCpu.offset;
const D = DeferredPercpuWork.offset;
const K = KfreeRcuCpu.offset;
const W = KfreeRcuCpuWork.offset;
const B = KvfreeRcuBulkData.offset;
const SCENARIO = offsetof(Globals.offset.scenario);
const SCENARIO_WORDS = 256;
/** Entries of a list that are shown. */
const LONGEST = 6;

/** @param stands  the function in which each CPU made its last step, if it is inside an operation; "". */
export function finalState(
  map: MachineMap,
  mem: Memory,
  symbols: HeapSymbols,
  stands: readonly string[],
): readonly string[] {
  const lines: string[] = [];
  for (let id = 0; id < map.shape.cpus; id++) {
    const cpu = new Cpu(mem, map, id, 0, NULL_ORACLE);
    lines.push(`CPU ${id}: ${describe_context(cpu)}`);
    if (stands[id] !== "") lines.push(`  in ${stands[id]}`);
    lines.push(...waiting(cpu, symbols).map((line) => `  ${line}`));
  }
  const scenario: string[] = [];
  for (let i = 0; i < SCENARIO_WORDS; i++) {
    const word = symbols.word(map.globals + SCENARIO + 4 * i);
    const value = mem.words[(map.globals + SCENARIO + 4 * i) >> 2];
    if (value !== 0) scenario.push(`${word.name} = ${symbols.value(word, value)}`);
  }
  return scenario.length === 0 ? lines : [...lines, `scenario: ${scenario.join(", ")}`];
}

/** What holds up, or is held up by, this CPU. */
function waiting(cpu: Cpu, symbols: HeapSymbols): readonly string[] {
  const { mem, section, pending } = cpu;
  const held = describe_held_locks(cpu).replaceAll(/\b\d{4,}\b/g, (address) => symbols.word(Number(address)).name);
  const waitsFor = mem.peek(pending, CpuPending.offset.waits_for);
  const dpw = embedded(section, P.deferred_percpu_work);
  const krc = embedded(section, P.krc);
  const irq = embedded(section, P.irq_work);
  const notZero = [pending + offsetof(CpuPending.offset.bits), embedded(dpw, D.work) + offsetof(IrqWork.offset.flags)];
  const chains = [embedded(dpw, D.objects), embedded(dpw, D.objects_by_rcu), embedded(dpw, D.rcu_sheaves)];
  chains.push(embedded(embedded(section, P.nolock_rfc), NolockRfc.offset.deferred));
  chains.push(embedded(irq, IrqWorkCpu.offset.raised_list), embedded(irq, IrqWorkCpu.offset.lazy_list));
  const batches = range(KFREE_N_BATCHES).map((i) => embedded_at(krc, K.krw_arr, i, KfreeRcuCpuWork.size));
  const krcHeads = [krc + offsetof(K.head), ...batches.map((krwp) => krwp + offsetof(W.head_free))];
  const bnodes = range(FREE_N_CHANNELS).flatMap((idx) => [
    embedded_at(krc, K.bulk_head, idx, ListHead.size),
    ...batches.map((krwp) => embedded_at(krwp, W.bulk_head_free, idx, ListHead.size)),
  ]);
  const callbacks = embedded(embedded(section, P.rcu_data), RcuData.offset.cblist) + offsetof(RcuSegcblist.offset.len);
  return [
    ...(held === "no locks held" ? [] : [held]),
    ...(waitsFor === 0 ? [] : [`waits for ${symbols.word(waitsFor).name}`]),
    ...[...notZero, callbacks].flatMap((address) => nonZero(mem, symbols, address)),
    ...[...chains, ...krcHeads].flatMap((address) => chain(mem, symbols, address)),
    ...bnodes.flatMap((list) => recorded(mem, symbols, list)),
  ];
}
const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i);
function nonZero({ words }: Memory, symbols: HeapSymbols, address: number): readonly string[] {
  const word = symbols.word(address);
  const value = symbols.value(word, words[address >> 2]);
  return words[address >> 2] === 0 || value === "0" ? [] : [`${word.name} = ${value}`];
}
/** A list whose links are the first words of what they lead to. */
function chain({ words }: Memory, symbols: HeapSymbols, address: number): readonly string[] {
  const names: string[] = [];
  let at = words[address >> 2];
  for (; at > 0 && at >> 2 < words.length && names.length < LONGEST; at = words[at >> 2]) {
    names.push(symbols.pointer(at, "llist_node"));
  }
  if (names.length === 0) return [];
  return [`${symbols.word(address).name}: ${names.join(", ")}${at === 0 ? "" : ", ..."}`];
}
/** Objects that the bnodes of a list record, newest first. */
function recorded({ words }: Memory, symbols: HeapSymbols, list: number): readonly string[] {
  const names: string[] = [];
  let more = false;
  for (let at = words[list >> 2]; at !== list && at > 0 && at >> 2 < words.length; at = words[at >> 2]) {
    const records = at + offsetof(B.records);
    for (let i = words[(at + offsetof(B.nr_records)) >> 2] - 1; i >= 0 && !more; i--) {
      more = names.length === LONGEST;
      if (!more) names.push(symbols.pointer(words[(records >> 2) + 2 * i], "object"));
    }
    if (more) break;
  }
  if (names.length === 0) return [];
  return [`${symbols.word(list, "list_head").name}: ${names.join(", ")}${more ? ", ..." : ""}`];
}
