/**
 * The oracle's account of a machine at rest against the machine's own: every object on a freelist or in a sheaf is there
 * for the oracle too, and nowhere else. And who an object that was not given back is, with its biography: a count of
 * leaked objects does not lead to the leak, their last moves do. Spec slub 14, items 1 and 10.
 */
import type { Cpu } from "../shared/cpu/cpu.ts";
import { describe_biography, describe_object } from "../shared/cpu/oracle_report.ts";
import type { CacheCensus } from "../shared/linux/mm/slub/check_sheaves.ts";
import {
  O_DEFERRED,
  O_DEFERRED_RCU,
  O_FREELIST,
  O_KEPT,
  O_KRC,
  O_PREFILLED,
  O_RCU_SHEAF,
  O_SHEAF,
  O_TRANSIT,
  O_USER,
} from "../shared/mem/oracle.ts";
import { names, SharedOracle } from "../shared/mem/shared_oracle.ts";
import type { Ptr } from "../shared/mem/struct.ts";

/** Places in which an object waits for something. */
const UNDER_WAY = O_RCU_SHEAF | O_DEFERRED | O_DEFERRED_RCU | O_KRC | O_TRANSIT | O_KEPT | O_PREFILLED;
/** Objects that are described of each kind. */
const SHOWN = 4;

/** Objects that somebody has allocated; none if nobody watches. */
export function allocated_objects(cpu: Cpu): Set<Ptr> {
  return new Set(cpu.oracle instanceof SharedOracle ? cpu.oracle.objectsIn(O_USER) : []);
}

/** Objects, each with where it lies and its last moves. */
export function describe_objects(cpu: Cpu, what: string, objects: readonly Ptr[]): string[] {
  const lines = objects.slice(0, SHOWN).map((object) => {
    const where = describe_object(cpu.mem, cpu.map, object);
    return [`${what} 0x${object.toString(16)}: ${where}`, ...describe_biography(cpu.oracle.biography(object))].join(
      "\n    ",
    );
  });
  const more = objects.length - lines.length;
  return more > 0 ? [...lines, `${what}: and ${more} more`] : lines;
}

/**
 * Compares with what the walkers have found. @context Any, machine at rest
 * @returns what differs, in words, and what waits somewhere.
 */
export function check_places(cpu: Cpu, censuses: ReadonlyMap<Ptr<"kmem_cache">, CacheCensus>): string[] {
  const { oracle } = cpu;
  if (!(oracle instanceof SharedOracle)) return [];
  const caches = [...censuses.values()];
  const problems = describe_objects(cpu, "still under way: object", [...oracle.objectsIn(UNDER_WAY)]);
  for (const [place, found] of [
    [O_FREELIST, caches.flatMap(({ free }) => [...free])],
    [O_SHEAF, caches.flatMap(({ cached }) => [...cached])],
  ] as const) {
    const known = new Set(oracle.objectsIn(place));
    const strange = found.filter((object) => !known.delete(object));
    problems.push(...describe_objects(cpu, `found in ${names(place)}, not so for the oracle: object`, strange));
    problems.push(...describe_objects(cpu, `not found in ${names(place)}, so for the oracle: object`, [...known]));
  }
  return problems;
}
