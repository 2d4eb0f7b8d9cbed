/**
 * What half a head is worth: `sheaf layout --compare-heads`. The same payload with either head of kfree_rcu(), struct
 * kvfree_rcu_head (8 bytes) or struct rcu_head (16), from kmalloc() and from a cache of its own. Sizes, orders and
 * buckets are those that slub itself calculates.
 */
import { PAGE_SIZE } from "../shared/base/limits.ts";
import { SLAB_KMALLOC } from "../shared/layout/slab_flags.ts";
import { KvfreeRcuHead, RcuHead } from "../shared/layout/types.ts";
import { calculate_sizes } from "../shared/linux/mm/slub/geometry.ts";
import { KMALLOC_SIZES, kmalloc_size_index } from "../shared/linux/mm/slub/size_class.ts";
import { oo_objects, oo_order } from "../shared/linux/mm/slub/slab.ts";
import { type AnyStruct, array, struct, ulong } from "../shared/mem/struct.ts";

/** Sizes of the struct with the small head. */
const SMALLEST = 8;
const LARGEST = 256;
/** Objects for which the memory is given. */
export const OBJECTS = 1_000_000;

/** A struct in a slab. */
export interface Placement {
  readonly struct_size: number;
  /** Bytes from one object to the next. */
  readonly size: number;
  readonly objects_per_slab: number;
  /** A slab has 2^order pages. */
  readonly order: number;
  /** Bytes of a slab that hold no struct, per object. */
  readonly waste: number;
  /** Bytes of the slabs that hold OBJECTS objects. */
  readonly memory: number;
}
/** Either head of one payload. */
export interface Heads {
  readonly kvfree_rcu_head: Placement;
  readonly rcu_head: Placement;
}
export interface Comparison {
  readonly payload: number;
  readonly kmalloc: Heads;
  readonly cache: Heads;
}

/** All payloads, smallest first. @param cpus  of the machine: more of them make larger slabs. */
export function compareHeads(cpus: number): readonly Comparison[] {
  const comparisons: Comparison[] = [];
  for (let size = SMALLEST; size <= LARGEST; size += ulong.size) {
    const payload = array(ulong, (size - KvfreeRcuHead.size) / ulong.size);
    const small = struct("small_head", { payload, head: KvfreeRcuHead });
    const large = struct("large_head", { payload, head: RcuHead });
    const heads = (place: typeof fromKmalloc): Heads => ({
      kvfree_rcu_head: place(small, cpus),
      rcu_head: place(large, cpus),
    });
    comparisons.push({
      payload: size - KvfreeRcuHead.size,
      kmalloc: heads(fromKmalloc),
      cache: heads(fromCache),
    });
  }
  return comparisons;
}

function fromKmalloc({ size }: AnyStruct, cpus: number): Placement {
  return placement(size, KMALLOC_SIZES[kmalloc_size_index(size)], SLAB_KMALLOC, cpus);
}
function fromCache({ size }: AnyStruct, cpus: number): Placement {
  return placement(size, size, 0, cpus);
}
function placement(struct_size: number, object_size: number, flags: number, cpus: number): Placement {
  const geometry = calculate_sizes({ object_size, flags }, cpus, false);
  if (geometry === undefined) throw new RangeError(`no slab holds objects of ${object_size} bytes`);
  const objects_per_slab = oo_objects(geometry.oo);
  const order = oo_order(geometry.oo);
  const slab = PAGE_SIZE << order;
  return {
    struct_size,
    size: geometry.size,
    objects_per_slab,
    order,
    waste: slab / objects_per_slab - struct_size,
    memory: Math.ceil(OBJECTS / objects_per_slab) * slab,
  };
}

/** The tables, for people. */
export function formatComparison(comparisons: readonly Comparison[], cpus: number): string {
  return [
    "A payload with its head: struct kvfree_rcu_head or rcu_ptr (8 bytes) | struct rcu_head (16 bytes).",
    `Bytes, in slabs of a machine with ${cpus} ${cpus === 1 ? "CPU" : "CPUs"}. waste: what of a slab holds no struct.`,
    ...table("kmalloc()", comparisons, ({ kmalloc }) => kmalloc),
    ...table("a kmem_cache of its own", comparisons, ({ cache }) => cache),
  ].join("\n");
}

/** Columns: what it says, digits of a number, digits behind the point, the number. */
const COLUMNS: readonly (readonly [title: string, width: number, digits: number, of: (p: Placement) => number])[] = [
  ["struct", 4, 0, ({ struct_size }) => struct_size],
  ["object", 4, 0, ({ size }) => size],
  ["per slab", 4, 0, ({ objects_per_slab }) => objects_per_slab],
  ["order", 2, 0, ({ order }) => order],
  ["waste/object", 6, 1, ({ waste }) => waste],
  [`MiB for ${OBJECTS.toLocaleString("en-US")}`, 6, 1, ({ memory }) => memory / 2 ** 20],
];
const SEPARATOR = " | ";

function table(title: string, comparisons: readonly Comparison[], of: (c: Comparison) => Heads): string[] {
  const titles = COLUMNS.map(([name, width]) => name.padStart(cellWidth(name, width)));
  const saved = comparisons.map((each) => savedBytes(of(each)));
  const winners = saved.filter((bytes) => bytes > 0).length;
  const average = saved.reduce((sum, bytes) => sum + bytes, 0) / saved.length / OBJECTS;
  return [
    "",
    `${title}: ${winners} of ${saved.length} sizes take less memory, ${average.toFixed(1)} bytes per object on average`,
    [...titles, "saved"].join("  "),
    ...comparisons.map((each) => row(of(each))),
  ];
}
function row(heads: Heads): string {
  const cells = COLUMNS.map(([name, width, digits, of]) => {
    const number = (p: Placement): string => of(p).toFixed(digits).padStart(width);
    return `${number(heads.kvfree_rcu_head)}${SEPARATOR}${number(heads.rcu_head)}`.padStart(cellWidth(name, width));
  });
  const saved = savedBytes(heads) / heads.rcu_head.memory;
  return [...cells, saved === 0 ? "    -" : `${(100 * saved).toFixed(0)} %`.padStart(5)].join("  ");
}
function cellWidth(name: string, width: number): number {
  return Math.max(name.length, 2 * width + SEPARATOR.length);
}
function savedBytes({ kvfree_rcu_head, rcu_head }: Heads): number {
  return rcu_head.memory - kvfree_rcu_head.memory;
}

/** For `--json`. Its keys are an interface: add to them, change none. */
export function comparisonJson(comparisons: readonly Comparison[], cpus: number): string {
  return JSON.stringify({ cpus, objects: OBJECTS, sizes: comparisons });
}
