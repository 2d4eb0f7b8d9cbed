/** /sys/kernel/slab with merged caches: directories by what they are, names as links. */
import { expect, test } from "vitest";
import { entriesOf } from "../../../src/main/slab/directory.ts";
import { ownName } from "../../../src/main/slab/write.ts";
import { SLAB_ACCOUNT, SLAB_NO_MERGE } from "../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_destroy } from "../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kmem_cache_create } from "../../../src/shared/linux/mm/slub/cache.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

test("without merging every cache has a directory of its own name", () => {
  const [cpu] = new TestMachine().cpus;
  const s = kmem_cache_create(cpu, "things", 72);
  const entries = entriesOf(cpu);
  expect(entries).toContainEqual({ name: "things", cache: s, link: undefined });
  expect(entries.filter(({ link }) => link !== undefined)).toEqual([]);
  const names = entries.map(({ name }) => name);
  expect(names).toEqual(names.toSorted());
});
test("merged caches are links to one unique id; others are not", () => {
  const [cpu] = new TestMachine({}, { slab_merge: 1 }).cpus;
  const s = kmem_cache_create(cpu, "things", 72);
  expect(kmem_cache_create(cpu, "others", 68)).toBe(s);
  const own = kmem_cache_create(cpu, "own", 72, { flags: SLAB_NO_MERGE });
  const account = kmem_cache_create(cpu, "account", 72, { flags: SLAB_ACCOUNT });
  const found = entriesOf(cpu).filter(({ cache }) => [s, own, account].includes(cache));
  expect(found).toEqual([
    { name: ":0000072", cache: s, link: undefined },
    { name: ":A-0000072", cache: account, link: undefined },
    { name: "account", cache: account, link: ":A-0000072" },
    { name: "others", cache: s, link: ":0000072" },
    { name: "own", cache: own, link: undefined },
    { name: "things", cache: s, link: ":0000072" },
  ]);
  expect([":0000072", "others", "own", "nothing"].map((name) => ownName(cpu, name))).toEqual([
    "things",
    "things",
    "own",
    "nothing",
  ]);
  kmem_cache_destroy(cpu, s);
  kmem_cache_destroy(cpu, s);
  expect(entriesOf(cpu).some(({ cache }) => cache === s)).toBe(false);
});
