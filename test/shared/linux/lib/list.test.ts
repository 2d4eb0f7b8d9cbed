import { beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../src/shared/base/verdict.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import {
  INIT_LIST_HEAD,
  list_add,
  list_add_tail,
  list_bulk_move_tail,
  list_count,
  list_del,
  list_del_init,
  list_empty,
  list_empty_careless,
  list_first,
  list_is_first,
  list_last,
  list_move,
  list_move_tail,
  list_next,
  list_prev,
  list_splice,
  list_splice_init,
  list_splice_tail,
  list_splice_tail_init,
  type ListPtr,
} from "../../../../src/shared/linux/lib/list.ts";
import { boot, room } from "../layer.ts";

let cpu: Cpu;
let head: ListPtr;
let other: ListPtr;
let nodes: readonly ListPtr[];
beforeEach(() => {
  [cpu] = boot(1) as [Cpu];
  head = room(cpu, 0);
  other = room(cpu, 1);
  nodes = [2, 3, 4, 5, 6].map((i) => room<"list_head">(cpu, i));
  INIT_LIST_HEAD(cpu, head);
  INIT_LIST_HEAD(cpu, other);
});

/** Indices of the nodes on a list, both ways round. */
function content(list: ListPtr): number[] {
  const forward: number[] = [];
  const backward: number[] = [];
  for (let at = list_next(cpu, list); at !== list; at = list_next(cpu, at)) forward.push(nodes.indexOf(at));
  for (let at = list_prev(cpu, list); at !== list; at = list_prev(cpu, at)) backward.push(nodes.indexOf(at));
  expect(backward.toReversed()).toEqual(forward);
  expect(list_count(cpu, list)).toBe(forward.length);
  return forward;
}
const fill = (list: ListPtr, ...which: number[]): void => {
  for (const i of which) list_add_tail(cpu, nodes[i], list);
};

test("a fresh list is empty", () => {
  expect(list_empty(cpu, head)).toBe(true);
  expect(list_empty_careless(cpu, head)).toBe(true);
  expect(list_first(cpu, head)).toBe(0);
  expect(list_last(cpu, head)).toBe(0);
  expect(content(head)).toEqual([]);
});

test("list_add pushes in front, list_add_tail behind", () => {
  list_add(cpu, nodes[0], head);
  list_add(cpu, nodes[1], head);
  list_add_tail(cpu, nodes[2], head);
  expect(content(head)).toEqual([1, 0, 2]);
  expect(list_first(cpu, head)).toBe(nodes[1]);
  expect(list_last(cpu, head)).toBe(nodes[2]);
  expect(list_is_first(cpu, nodes[1], head)).toBe(true);
  expect(list_is_first(cpu, nodes[0], head)).toBe(false);
  expect(list_empty(cpu, head)).toBe(false);
});

test("adding the first or last entry again is a bug", () => {
  fill(head, 0);
  expect(() => list_add(cpu, nodes[0], head)).toThrow(MachineBug);
  expect(() => list_add_tail(cpu, nodes[0], head)).toThrow(MachineBug);
});

describe("list_del", () => {
  test("poisons, so a second one is a bug, and so is a walk through it", () => {
    fill(head, 0, 1, 2);
    list_del(cpu, nodes[1]);
    expect(content(head)).toEqual([0, 2]);
    expect(() => list_next(cpu, nodes[1])).toThrow("was deleted");
    expect(() => list_del(cpu, nodes[1])).toThrow("deleted before");
  });
  test("of an entry whose neighbours disagree is a bug", () => {
    fill(head, 0, 1);
    INIT_LIST_HEAD(cpu, nodes[0]);
    expect(() => list_del(cpu, nodes[1])).toThrow("do not point at it");
  });
  test("list_del_init leaves an empty list", () => {
    fill(head, 0, 1);
    list_del_init(cpu, nodes[0]);
    expect(list_empty(cpu, nodes[0])).toBe(true);
    list_del_init(cpu, nodes[0]); // Harmless.
    expect(content(head)).toEqual([1]);
  });
});

test("list_move and list_move_tail", () => {
  fill(head, 0, 1, 2);
  fill(other, 3, 4);
  list_move(cpu, nodes[1], other);
  list_move_tail(cpu, nodes[0], other);
  expect(content(head)).toEqual([2]);
  expect(content(other)).toEqual([1, 3, 4, 0]);
});

test("list_bulk_move_tail moves a chain", () => {
  fill(head, 0, 1, 2, 3);
  fill(other, 4);
  list_bulk_move_tail(cpu, other, nodes[1], nodes[2]);
  expect(content(head)).toEqual([0, 3]);
  expect(content(other)).toEqual([4, 1, 2]);
});

describe.each([
  ["list_splice", list_splice, [0, 1, 2, 3]],
  ["list_splice_tail", list_splice_tail, [2, 3, 0, 1]],
  ["list_splice_init", list_splice_init, [0, 1, 2, 3]],
  ["list_splice_tail_init", list_splice_tail_init, [2, 3, 0, 1]],
] as const)("%s", (name, splice, expected) => {
  test("joins", () => {
    fill(other, 0, 1);
    fill(head, 2, 3);
    splice(cpu, other, head);
    expect(content(head)).toEqual(expected);
    if (name.endsWith("init")) expect(content(other)).toEqual([]);
  });
  test("an empty list changes nothing", () => {
    fill(head, 2, 3);
    splice(cpu, other, head);
    expect(content(head)).toEqual([2, 3]);
  });
});

test("list_count notices links that do not lead back", () => {
  fill(head, 0, 1);
  list_add(cpu, nodes[2], nodes[0]);
  expect(list_count(cpu, head)).toBe(3);
  INIT_LIST_HEAD(cpu, other);
  fill(other, 3);
  cpu.mem.store_word(nodes[1] + 8, other); // prev
  expect(() => list_count(cpu, head)).toThrow("point back");
});
