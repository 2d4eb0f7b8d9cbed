/** What must hold when a race is over, whoever won it. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { check_page_allocator } from "../../shared/linux/mm/page_alloc/check.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { get } from "../explore/scenario.ts";
import { cache, FIRST_THING, HEAD, THINGS } from "./kit.ts";
import { account } from "./kit_whereabouts.ts";

/** What is wrong first: with the account of the things, of which those in the words are in use, or with the pages. */
export function accounted(cpu: Cpu): string | undefined {
  const users: Ptr[] = [];
  for (let i = 0; i < THINGS; i++) {
    const thing = get(cpu, FIRST_THING + i);
    if (thing !== 0) users.push(thing as Ptr);
  }
  return account(cpu, cache(cpu), users, HEAD)[0] ?? check_page_allocator(cpu)[0];
}
