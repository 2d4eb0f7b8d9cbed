/**
 * The facilities, and what calls their hooks. The allocator tests globals.hooks; if it is not 0 it calls one of the
 * functions below, which run the hooks of the enabled facilities in the kernel's order. Spec rcu 3.1, slub 3.1, 3.7.
 *
 * Context: that of the caller; a nolock path runs only hooks that wait for nothing, which the tables are checked for when
 * they are made.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { HOOK_BITS } from "../../../layout/debug.ts";
import { Globals } from "../../../layout/globals.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { ALLOC_TAGGING } from "./alloc_tag.ts";
import { DEBUGOBJECTS } from "./debugobjects.ts";
import {
  type CachesAtRest,
  type Facility,
  type HookFn,
  PATH,
  path_allows_spin,
  type Place,
  type SourceFn,
  STEPS,
} from "./facility.ts";
import { INIT_ON_FREE } from "./init_on_free.ts";
import { KASAN } from "./kasan.ts";
import { KCSAN } from "./kcsan.ts";
import { KFENCE } from "./kfence.ts";
import { KMEMLEAK } from "./kmemleak_facility.ts";
import { KMSAN } from "./kmsan.ts";
import { LOCKS_FREED } from "./locks_freed.ts";
import { MEMCG } from "./memcg.ts";

const { hooks: HOOKS } = Globals.offset;

/** In the order of HOOK_BITS. */
export const FACILITIES: readonly Facility[] = [
  KMEMLEAK,
  KMSAN,
  ALLOC_TAGGING,
  LOCKS_FREED,
  DEBUGOBJECTS,
  KCSAN,
  KASAN,
  KFENCE,
  MEMCG,
  INIT_ON_FREE,
];

interface Bound<F> {
  readonly bit: number;
  readonly paths: number;
  readonly large: boolean;
  readonly run: F;
}

/** The hooks of one place in the kernel's order. @throws TypeError  a hook that waits is on a nolock path */
function bound(place: Place): readonly Bound<HookFn | SourceFn>[] {
  return STEPS[place].flatMap((step) =>
    FACILITIES.flatMap(({ name, spins, hooks }) =>
      hooks
        .filter((hook) => hook.step === step)
        .map((hook) => {
          const paths = hook.paths.reduce((bits, path) => bits | PATH[path], 0);
          if (spins === "always" && hook.paths.some((path) => !path_allows_spin(PATH[path]))) {
            throw new TypeError(`${name}: ${step}() waits for a lock, so it may not run on a nolock path`);
          }
          const large = hook.large === true || place.startsWith("rcu"); // kfree_rcu() does not ask what it is given.
          return { bit: HOOK_BITS[name], paths, large, run: hook.run };
        }),
    ),
  );
}
const hooks_at = (place: Exclude<Place, "alloc">): readonly Bound<HookFn>[] => bound(place) as readonly Bound<HookFn>[];

const ALLOC = bound("alloc") as readonly Bound<SourceFn>[];
/** What run_hooks() takes. */
export const POST_ALLOC = hooks_at("post_alloc");
export const FREE = hooks_at("free");
export const FREE_END = hooks_at("free_end");
export const RCU_QUEUE = hooks_at("rcu_queue");
export const RCU_QUEUED = hooks_at("rcu_queued");
export const RCU_UNQUEUE = hooks_at("rcu_unqueue");

/** Are any facilities on? The fast paths do no more than ask this. @context Any */
export function hooks_enabled(cpu: Cpu): boolean {
  return cpu.mem.peek(cpu.globals, HOOKS) !== 0;
}

/**
 * Runs the enabled hooks of one place for an object.
 *
 * @param   s      its cache; NULL: a large kmalloc.
 * @param   bytes  that its user may use.
 * @returns false: a hook has stopped it; those behind it have not run.
 * @context that of the path
 */
export function run_hooks(
  cpu: Cpu,
  hooks: readonly Bound<HookFn>[],
  path: number,
  s: Ptr<"kmem_cache">,
  object: Ptr,
  bytes: number,
  gfp = 0,
): boolean {
  const on = cpu.mem.peek(cpu.globals, HOOKS);
  for (let i = 0; i < hooks.length; i++) {
    const hook = hooks[i];
    if ((hook.bit & on) === 0 || (hook.paths & path) === 0 || (s === NULL && !hook.large)) continue;
    if (!hook.run(cpu, s, object, bytes, gfp, path)) return false;
  }
  return true;
}

/**
 * Runs the enabled hooks of one place in kfree_rcu().
 * @returns false: the object has been given to kfree_rcu() before, and is leaked.
 * @context that of the path
 */
export function run_rcu_hooks(cpu: Cpu, hooks: readonly Bound<HookFn>[], path: number, object: Ptr): boolean {
  return !hooks_enabled(cpu) || run_hooks(cpu, hooks, path, NULL, object, 0);
}

/** An object that does not come from the slabs. @returns NULL: none. @context as the allocation */
export function alloc_elsewhere(cpu: Cpu, path: number, s: Ptr<"kmem_cache">, gfp: number): Ptr<"object"> {
  const on = cpu.mem.peek(cpu.globals, HOOKS);
  for (let i = 0; i < ALLOC.length; i++) {
    const hook = ALLOC[i];
    if ((hook.bit & on) === 0 || (hook.paths & path) === 0) continue;
    const object = hook.run(cpu, s, gfp);
    if (object !== NULL) return object;
  }
  return NULL;
}

const enabled = (cpu: Cpu): readonly Facility[] =>
  FACILITIES.filter(({ name }) => (HOOK_BITS[name] & cpu.mem.peek(cpu.globals, HOOKS)) !== 0);

/** Takes the pages of those that are on. @context Task, at boot, right after the page allocator, alone */
export function debug_init(cpu: Cpu): void {
  for (const { init } of enabled(cpu)) init?.(cpu);
}
/** Has them give back what they keep. @context Task, everything else at rest */
export function debug_drain(cpu: Cpu): void {
  for (const { drain } of enabled(cpu)) drain?.(cpu);
}
/** What does not add up, in words. Peeks only. @context Task, machine at rest and drained */
export function debug_check(cpu: Cpu, caches: CachesAtRest): string[] {
  return enabled(cpu).flatMap(({ name, check }) => (check?.(cpu, caches) ?? []).map((what) => `${name}: ${what}`));
}
