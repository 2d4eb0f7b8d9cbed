/** obj_cgroup: who holds a reference keeps the object, and the last put frees it, in whatever context. */
import { beforeEach, expect, test } from "vitest";
import {
  check_objcg_list,
  get_obj_cgroup_from_memcg,
  memcg_remove_objcg,
  memcg_replace_objcg,
  obj_cgroup_charge,
  obj_cgroup_destroy,
  obj_cgroup_init,
  obj_cgroup_pass_on,
  obj_cgroup_put,
} from "../../../src/main/workloads/obj_cgroup.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { kvfree_rcu_barrier } from "../../../src/shared/linux/api.ts";
import { NULL } from "../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../src/workers/quiescence.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

let m: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  m = new TestMachine({}, { poison_free: 1 });
  [cpu] = m.cpus;
  obj_cgroup_init(cpu);
  memcg_replace_objcg(cpu, 0);
});

test("a reference outlives the memory cgroup's own", () => {
  const objcg = get_obj_cgroup_from_memcg(cpu, 0);
  memcg_remove_objcg(cpu, 0);
  expect(get_obj_cgroup_from_memcg(cpu, 0)).toBe(NULL);
  kvfree_rcu_barrier(cpu);
  expect(m.placeOf(objcg)).toBe("user");
  obj_cgroup_put(cpu, objcg);
  expect(m.placeOf(objcg)).not.toBe("user");
});
test("the last put may come in an NMI", () => {
  const objcg = get_obj_cgroup_from_memcg(cpu, 0);
  memcg_remove_objcg(cpu, 0);
  m.nmi(cpu, () => obj_cgroup_put(cpu, objcg));
  expect(m.count("kfree_rcu_nolock")).toBe(1);
  kvfree_rcu_barrier(cpu);
  expect(m.placeOf(objcg)).toMatch(/freelist|^sheaf/);
});
test("another object for the memory cgroup: new references are to that one", () => {
  const old = get_obj_cgroup_from_memcg(cpu, 0);
  memcg_replace_objcg(cpu, 0);
  const fresh = get_obj_cgroup_from_memcg(cpu, 0);
  expect(fresh).not.toBe(old);
  check_objcg_list(cpu);
  for (const objcg of [old, fresh]) obj_cgroup_put(cpu, objcg);
});
test("a put too early is noticed: by what is charged, or by the next user", () => {
  const objcg = get_obj_cgroup_from_memcg(cpu, 0);
  obj_cgroup_charge(cpu, objcg, 8);
  obj_cgroup_put(cpu, objcg);
  expect(() => memcg_remove_objcg(cpu, 0)).toThrow(/without references has 8 bytes charged/);
});
test("what was passed on is settled at the end", () => {
  memcg_remove_objcg(cpu, 0);
  kvfree_rcu_barrier(cpu);
  const baseline = take_account(cpu);
  memcg_replace_objcg(cpu, 0);
  obj_cgroup_pass_on(cpu, 0, 3);
  obj_cgroup_pass_on(cpu, 0, 3);
  m.nmi(cpu, () => obj_cgroup_pass_on(cpu, 0, 4));
  obj_cgroup_destroy(cpu);
  check_quiescence(cpu, baseline);
});
