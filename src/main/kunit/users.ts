/**
 * Tests in the manner of two users of the bulk functions. Not in lib/tests/slub_kunit.c: there these users have test
 * suites of their own (lib/test_maple_tree.c, tools/testing/radix-tree).
 *
 *   maple tree  knows beforehand how many nodes a change needs at most: a prefilled sheaf that cannot run short
 *   radix tree  keeps a stock of nodes, filled up and emptied by kmem_cache_alloc_bulk() and kmem_cache_free_bulk()
 */
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { ObjectArray } from "../../shared/layout/slab.ts";
import { SLAB_NO_MERGE } from "../../shared/layout/slab_flags.ts";
import { RcuHead } from "../../shared/layout/types.ts";
import {
  kfree,
  kfree_rcu,
  kmalloc,
  kmem_cache_alloc_bulk,
  kmem_cache_alloc_from_sheaf,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_free_bulk,
  kmem_cache_prefill_sheaf,
  kmem_cache_refill_sheaf,
  kmem_cache_return_sheaf,
  kmem_cache_sheaf_size,
} from "../../shared/linux/api.ts";
import { array, element, NULL, type Ptr, struct, u32 } from "../../shared/mem/struct.ts";
import { test_kmem_cache_create } from "./cache.ts";
import { IS_ERR } from "../../shared/linux/mm/slub/barn.ts";
import {
  KUNIT_ASSERT_NOT_NULL,
  KUNIT_ASSERT_TRUE,
  KUNIT_EXPECT_EQ,
  KUNIT_EXPECT_TRUE,
  type KunitCase,
  type KunitTest,
} from "./test.ts";

const Node = struct("kunit_node", { rcu: RcuHead, slots: array(u32, 60) });
type NodePtr = Ptr<"kunit_node">;
const { rcu: RCU } = Node.offset;
const { slots: SLOTS } = ObjectArray.offset;

/** Nodes that one change needs: from few to more than a sheaf has room for. */
const CHANGES = [1, 3, 13, 60, 150];
/** Of these so many are used. */
const USED_ONE_IN = 2;

function test_maple_tree_prefill(test: KunitTest): void {
  const { cpu } = test;
  const s = test_kmem_cache_create(test, "kunit_maple_node", Node.size, SLAB_NO_MERGE);
  for (const needed of CHANGES) {
    let sheaf = KUNIT_ASSERT_NOT_NULL(test, kmem_cache_prefill_sheaf(cpu, s, GFP_KERNEL, needed), "the sheaf");
    const there = kmem_cache_sheaf_size(cpu, sheaf);
    KUNIT_EXPECT_TRUE(test, there >= needed, `a sheaf asked for ${needed} objects has ${there}`);
    const nodes: NodePtr[] = [];
    const take = (): void => {
      const node = kmem_cache_alloc_from_sheaf(cpu, s, 0, sheaf);
      nodes.push(KUNIT_ASSERT_NOT_NULL(test, node, "a node from a sheaf that has some") as Ptr as NodePtr);
    };
    for (let i = 0; i < Math.ceil(needed / USED_ONE_IN); i++) take();
    KUNIT_EXPECT_EQ(test, kmem_cache_sheaf_size(cpu, sheaf), there - nodes.length, "what is left in the sheaf");
    // A second change needs as many again.
    sheaf = kmem_cache_refill_sheaf(cpu, s, GFP_KERNEL, sheaf, needed);
    KUNIT_ASSERT_TRUE(test, !IS_ERR(sheaf), `a sheaf is refilled to ${needed} objects`);
    KUNIT_EXPECT_TRUE(test, kmem_cache_sheaf_size(cpu, sheaf) >= needed, "a refilled sheaf has what was asked for");
    while (kmem_cache_sheaf_size(cpu, sheaf) > 0) take();
    KUNIT_EXPECT_EQ(test, kmem_cache_alloc_from_sheaf(cpu, s, 0, sheaf), NULL, "an object from an empty sheaf");
    KUNIT_EXPECT_EQ(test, new Set(nodes).size, nodes.length, "the number of different nodes");
    kmem_cache_return_sheaf(cpu, s, GFP_KERNEL, sheaf);
    for (const [i, node] of nodes.entries()) {
      if (i % 2 === 0) kfree_rcu(cpu, node, RCU);
      else kmem_cache_free(cpu, s, node);
    }
  }
  KUNIT_EXPECT_EQ(test, kmem_cache_destroy(cpu, s), 0, "kmem_cache_destroy()");
}

function test_radix_tree_bulk(test: KunitTest): void {
  const { cpu } = test;
  const most = Math.max(...CHANGES);
  const s = test_kmem_cache_create(test, "kunit_radix_node", Node.size, SLAB_NO_MERGE);
  const stock = KUNIT_ASSERT_NOT_NULL(test, kmalloc(cpu, 8 * most, GFP_KERNEL), "the array") as Ptr;
  const p = stock as Ptr<"object_array">;
  for (const needed of CHANGES) {
    KUNIT_ASSERT_TRUE(test, kmem_cache_alloc_bulk(cpu, s, GFP_KERNEL, needed, p), `${needed} objects at once`);
    const nodes = Array.from({ length: needed }, (_, i) => cpu.mem.read(p, element(SLOTS, i)));
    KUNIT_EXPECT_EQ(test, new Set(nodes).size, needed, "the number of different nodes");
    KUNIT_EXPECT_TRUE(test, !nodes.includes(NULL), "no node is NULL");
    // One of them goes its own way.
    kmem_cache_free(cpu, s, nodes[needed - 1]);
    kmem_cache_free_bulk(cpu, s, needed - 1, p);
  }
  kfree(cpu, stock);
  KUNIT_EXPECT_EQ(test, kmem_cache_destroy(cpu, s), 0, "kmem_cache_destroy()");
}

export const user_cases: readonly KunitCase[] = [
  { name: "test_maple_tree_prefill", run: test_maple_tree_prefill },
  { name: "test_radix_tree_bulk", run: test_radix_tree_bulk },
];
