/** Callback numbers of this folder. */
import { bind_callback } from "../../../cpu/callback_table.ts";
import { CB } from "../../../layout/callbacks.ts";
import { kasan_cpu_offline, per_cpu_remove_cache } from "./kasan_quarantine.ts";
import { rcu_guarded_free } from "./kfence.ts";
import { drain_local_obj_stock, memcg_hotplug_cpu_dead } from "./obj_stock.ts";
import { obj_cgroup_free, obj_cgroup_release_workfn } from "./objcg.ts";

/** Once per thread. */
export function bind_debug(): void {
  bind_callback(CB.ipi_kasan_remove_cache, per_cpu_remove_cache);
  bind_callback(CB.kasan_cpu_offline, kasan_cpu_offline);
  bind_callback(CB.memcg_hotplug_cpu_dead, memcg_hotplug_cpu_dead);
  bind_callback(CB.rcu_guarded_free, rcu_guarded_free);
  bind_callback(CB.drain_local_obj_stock, drain_local_obj_stock);
  bind_callback(CB.obj_cgroup_free, obj_cgroup_free);
  bind_callback(CB.obj_cgroup_release_workfn, obj_cgroup_release_workfn);
}
