/**
 * Barn exchange (spec slub 2.9): one CPU gives a full sheaf for an empty one, another an empty for a full one, a third takes
 * a full one and puts it back. Each sheaf is afterwards in one place, and both counters count.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { ListHead } from "../../shared/layout/types.ts";
import { NodeBarn, SlabSheaf } from "../../shared/layout/slab.ts";
import {
  barn_get_full_or_empty_sheaf,
  barn_init,
  barn_put_empty_sheaf,
  barn_put_full_sheaf,
  barn_replace_empty_sheaf,
  barn_replace_full_sheaf,
} from "../../shared/linux/mm/slub/barn.ts";
import { container_of, embedded, type Ptr } from "../../shared/mem/struct.ts";
import { BARE_KERNEL } from "../explore/kernel.ts";
import { result, resultOf, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const {
  sheaves_full: SHEAVES_FULL,
  sheaves_empty: SHEAVES_EMPTY,
  nr_full: NR_FULL,
  nr_empty: NR_EMPTY,
} = NodeBarn.offset;
const { barn_list: BARN_LIST } = SlabSheaf.offset;
const { next: NEXT } = ListHead.offset;

type Barn = Ptr<"node_barn">;
type Sheaf = Ptr<"slab_sheaf">;
const barn = (cpu: Cpu): Barn => at(cpu, 32);
/** 0: CPU 0's, full. 1: CPU 1's, empty. 2, 3: in the barn, full. 4: in the barn, empty. */
const SHEAVES = [0, 1, 2, 3, 4];
const sheaf = (cpu: Cpu, i: number): Sheaf => at(cpu, 48 + 12 * i);

interface Exchange {
  readonly giveFull: (cpu: Cpu, full: Sheaf) => Sheaf;
  readonly giveEmpty: (cpu: Cpu, empty: Sheaf) => Sheaf;
  readonly takeFull: (cpu: Cpu) => Sheaf;
  readonly putFull: (cpu: Cpu, full: Sheaf) => void;
}
const locked: Exchange = {
  giveFull: (cpu, full) => barn_replace_full_sheaf(cpu, barn(cpu), full, true),
  giveEmpty: (cpu, empty) => barn_replace_empty_sheaf(cpu, barn(cpu), empty, true),
  takeFull: (cpu) => barn_get_full_or_empty_sheaf(cpu, barn(cpu)),
  putFull: (cpu, full) => barn_put_full_sheaf(cpu, barn(cpu), full),
};
/** The same without the lock of the barn; and without prev, which list_del() would check. */
const unlocked: Exchange = {
  giveFull: (cpu, full) => {
    const empty = pop(cpu, SHEAVES_EMPTY, NR_EMPTY);
    push(cpu, SHEAVES_FULL, NR_FULL, full);
    return empty;
  },
  giveEmpty: (cpu, empty) => {
    const full = pop(cpu, SHEAVES_FULL, NR_FULL);
    push(cpu, SHEAVES_EMPTY, NR_EMPTY, empty);
    return full;
  },
  takeFull: (cpu) => pop(cpu, SHEAVES_FULL, NR_FULL),
  putFull: (cpu, full) => push(cpu, SHEAVES_FULL, NR_FULL, full),
};
type List = typeof SHEAVES_FULL;
type Count = typeof NR_FULL;
function pop(cpu: Cpu, list: List, count: Count): Sheaf {
  const head = embedded(barn(cpu), list);
  cpu.mem.write(barn(cpu), count, cpu.mem.read(barn(cpu), count) - 1);
  const entry = cpu.mem.read(head, NEXT);
  cpu.mem.write(head, NEXT, cpu.mem.read(entry, NEXT));
  return container_of(entry, BARN_LIST);
}
function push(cpu: Cpu, list: List, count: Count, sheaf: Sheaf): void {
  const head = embedded(barn(cpu), list);
  cpu.mem.write(barn(cpu), count, cpu.mem.read(barn(cpu), count) + 1);
  cpu.mem.write(embedded(sheaf, BARN_LIST), NEXT, cpu.mem.read(head, NEXT));
  cpu.mem.write(head, NEXT, embedded(sheaf, BARN_LIST));
}

const program = ({ giveFull, giveEmpty, takeFull, putFull }: Exchange): Omit<Scenario, "name"> => ({
  kernel: BARE_KERNEL,
  setup: (cpu) => {
    barn_init(cpu, barn(cpu));
    for (const i of [2, 3]) barn_put_full_sheaf(cpu, barn(cpu), sheaf(cpu, i));
    barn_put_empty_sheaf(cpu, barn(cpu), sheaf(cpu, 4));
  },
  cpus: [
    [(cpu) => result(cpu, 0, giveFull(cpu, sheaf(cpu, 0)))],
    [(cpu) => result(cpu, 1, giveEmpty(cpu, sheaf(cpu, 1)))],
    [(cpu) => putFull(cpu, takeFull(cpu))],
  ],
});

/** The sheaves of one list of the barn. A broken list may be a circle. */
function listed(cpu: Cpu, list: List): Sheaf[] {
  const head = embedded(barn(cpu), list);
  const sheaves: Sheaf[] = [];
  for (let entry = cpu.mem.read(head, NEXT); entry !== head && sheaves.length < 8; entry = cpu.mem.read(entry, NEXT))
    sheaves.push(container_of(entry, BARN_LIST));
  return sheaves;
}
function whole(cpu: Cpu): boolean {
  const [full, empty] = [listed(cpu, SHEAVES_FULL), listed(cpu, SHEAVES_EMPTY)];
  if (full.length !== cpu.mem.read(barn(cpu), NR_FULL) || empty.length !== cpu.mem.read(barn(cpu), NR_EMPTY))
    return false;
  const places = [...full, ...empty, resultOf(cpu, 0) as Sheaf, resultOf(cpu, 1) as Sheaf];
  return SHEAVES.every((i) => places.filter((each) => each === sheaf(cpu, i)).length === 1);
}

const litmus: Litmus = {
  title: "two CPUs exchange sheaves with a barn, a third takes one and puts it back",
  outcome: "a sheaf in no place or in two, or a wrong count",
  verdict: "F",
  observed: (cpu) => !whole(cpu),
  bound: 1,
  scenario: { name: "barn-exchange", ...program(locked) },
  vacuity: { name: "barn-exchange+no-op", ...program(unlocked) },
};
export default litmus;
