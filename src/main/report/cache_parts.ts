/**
 * What the allocator's own objects are: the structs of a cache, its per-CPU sheaves and counters, its nodes, barns,
 * sheaves and order of objects. Found by a walk over all caches as memory is at that moment, from outside and without steps; a list that is
 * being changed is followed as far as it makes sense.
 */
import { Globals } from "../../shared/layout/globals.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import {
  KmemCache,
  KmemCacheNode,
  KmemCachePerNode,
  NodeBarn,
  RandomSeq,
  SlabGlobals,
  SlabSheaf,
  SlubPercpuSheaves,
} from "../../shared/layout/slab.ts";
import { KmemCacheStats } from "../../shared/layout/slab_stat.ts";
import { ListHead } from "../../shared/layout/types.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import { type AnyStruct, embedded, embedded_at, type Ptr } from "../../shared/mem/struct.ts";

type Cache = Ptr<"kmem_cache">;

/** An object of a cache. */
export interface HeapObject {
  readonly cache: Cache;
  readonly start: number;
  /** "things#2" */
  readonly name: string;
}
/** What it is, if the allocator uses it itself. */
interface Part {
  /** "things.cpu0.main" */
  readonly name: string;
  /** Between its name and that of a field. */
  readonly arrow: "." | "->";
  readonly struct: AnyStruct;
  readonly start: number;
}

const { slab: SLAB } = Globals.offset;
const { slab_caches, kmem_cache: KMEM_CACHE, kmem_cache_node: KMEM_CACHE_NODE, percpu: PERCPU } = SlabGlobals.offset;
const { cpu_sheaves: CPU_SHEAVES, list: LIST, per_node: PER_NODE, random_seq: RANDOM_SEQ } = KmemCache.offset;
const { sheaves_full, sheaves_empty } = NodeBarn.offset;
const { main, spare, rcu_free } = SlubPercpuSheaves.offset;
const BARN_LISTS = [["full", sheaves_full] as const, ["empty", sheaves_empty] as const];
const OWN_SHEAVES = [["main", main] as const, ["spare", spare] as const, ["rcu_free", rcu_free] as const];
/** More caches or sheaves than this are a list that is being changed. */
const LONGEST_LIST = 64;

export class CacheParts {
  private readonly map: MachineMap;
  readonly mem: Memory;
  /** Sheaves that were seen in their places, by address: which cache they are of. */
  private readonly sheaves = new Map<number, Cache>();

  constructor(map: MachineMap, mem: Memory) {
    this.map = map;
    this.mem = mem;
  }

  /** @param address  inside the object: a per-CPU block has many parts. */
  part(object: HeapObject, address: number): Part | undefined {
    const { mem } = this;
    const { cache, start } = object;
    const globals = embedded(this.map.globals, SLAB);
    if (cache === mem.peek(globals, KMEM_CACHE)) {
      return { name: cache_name({ mem }, start as Cache), arrow: "->", struct: KmemCache, start };
    }
    const isPerCpu = cache === mem.peek(globals, PERCPU);
    const isNode = cache === mem.peek(globals, KMEM_CACHE_NODE);
    for (const s of this.caches()) {
      const found = isPerCpu
        ? this.perCpuPart(s, start, address)
        : isNode
          ? this.nodePart(s, start)
          : (this.barnPart(s, start) ?? this.sheafPart(s, start) ?? this.orderPart(s, start));
      if (found !== undefined) return found;
    }
    return this.looseSheaf(object);
  }

  private *caches(): Generator<Cache> {
    for (const at of this.list(embedded(embedded(this.map.globals, SLAB), slab_caches))) yield (at - LIST) as Cache;
  }
  private *list(head: Ptr<"list_head">): Generator<number> {
    let at = this.mem.peek(head, ListHead.offset.next);
    for (let n = 0; n < LONGEST_LIST && at !== head && this.isAddress(at); n++) {
      yield at;
      at = this.mem.peek(at, ListHead.offset.next);
    }
  }
  private isAddress(value: number): boolean {
    return value >= this.map.globals && value < this.map.shape.bytes;
  }
  private *perNode(s: Cache): Generator<readonly [node: number, Ptr<"kmem_cache_per_node">]> {
    for (let node = 0; node < this.map.shape.nodes; node++) {
      yield [node, embedded_at(s, PER_NODE, node, KmemCachePerNode.size)];
    }
  }

  private perCpuPart(s: Cache, block: number, address: number): Part | undefined {
    if (this.mem.peek(s, CPU_SHEAVES) !== block) return undefined;
    const name = cache_name(this, s);
    const stats = block + this.map.shape.cpus * SlubPercpuSheaves.size;
    const [first, struct, kind] =
      address < stats ? ([block, SlubPercpuSheaves, "cpu"] as const) : ([stats, KmemCacheStats, "stats"] as const);
    const cpu = Math.floor((address - first) / struct.size);
    return { name: `${name}.${kind}${cpu}`, arrow: ".", struct, start: first + cpu * struct.size };
  }
  private nodePart(s: Cache, start: number): Part | undefined {
    for (const [node, slot] of this.perNode(s)) {
      if (this.mem.peek(slot, KmemCachePerNode.offset.node) !== start) continue;
      return { name: `${cache_name(this, s)}.node${node}`, arrow: ".", struct: KmemCacheNode, start };
    }
    return undefined;
  }
  private orderPart(s: Cache, start: number): Part | undefined {
    if (this.mem.peek(s, RANDOM_SEQ) !== start) return undefined;
    return { name: `${cache_name(this, s)}.random_seq`, arrow: ".", struct: RandomSeq, start };
  }
  private barnPart(s: Cache, start: number): Part | undefined {
    for (const [node, slot] of this.perNode(s)) {
      const barn = this.mem.peek(slot, KmemCachePerNode.offset.barn);
      if (!this.isAddress(barn)) continue;
      const name = `${cache_name(this, s)}.barn${node}`;
      if (barn === start) return { name, arrow: ".", struct: NodeBarn, start };
      for (const [kind, head] of BARN_LISTS) {
        for (const sheaf of this.list(embedded(barn, head))) {
          this.sheaves.set(sheaf, s); // The link is its first field.
          if (sheaf === start) return { name: `${name}.${kind}`, arrow: "->", struct: SlabSheaf, start };
        }
      }
    }
    return undefined;
  }
  private sheafPart(s: Cache, start: number): Part | undefined {
    const first = this.mem.peek(s, CPU_SHEAVES);
    if (!this.isAddress(first)) return undefined;
    for (let cpu = 0; cpu < this.map.shape.cpus; cpu++) {
      const pcs = (first + cpu * SlubPercpuSheaves.size) as Ptr<"slub_percpu_sheaves">;
      for (const [kind, field] of OWN_SHEAVES) {
        const sheaf = this.mem.peek(pcs, field);
        this.sheaves.set(sheaf, s);
        if (sheaf !== start) continue;
        return { name: `${cache_name(this, s)}.cpu${cpu}.${kind}`, arrow: "->", struct: SlabSheaf, start };
      }
    }
    return undefined;
  }
  /** A sheaf that is on its way: to RCU, to an irq_work, to a barn. */
  private looseSheaf({ start, name }: HeapObject): Part | undefined {
    const s = this.sheaves.get(start);
    if (s === undefined || this.mem.peek(start as Ptr<"slab_sheaf">, SlabSheaf.offset.cache) !== s) return undefined;
    return { name: `sheaf(${name})`, arrow: "->", struct: SlabSheaf, start };
  }
}
