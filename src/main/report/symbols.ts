/** Addresses in words: "percpu[2].deferred_percpu_work.objects", "page 513 + 0x40". */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import { Globals } from "../../shared/layout/globals.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { Page } from "../../shared/layout/page.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import type { AnyStruct } from "../../shared/mem/struct.ts";

/** Numbers below the first address are shown as numbers. */
export function addressName(map: MachineMap, address: number): string {
  const hex = `0x${(address >>> 0).toString(16)}`;
  if (address < map.globals || address >= map.shape.bytes)
    return address >= 0 && address < PAGE_SIZE ? String(address) : hex;
  if (address < map.globals + Globals.size) return `globals${fieldName(Globals, address - map.globals)}`;
  const cpu = Math.floor((address - map.percpu) / map.percpuStride);
  if (cpu < map.shape.cpus) return `percpu[${cpu}]${fieldName(PerCpu, address - map.section(cpu))}`;
  if (address < map.pages) {
    const index = Math.floor((address - map.memMap) / Page.size);
    return `mem_map[${index}]${fieldName(Page, (address - map.memMap) % Page.size)}`;
  }
  return hex;
}

/** The path of names down to the innermost field that holds the offset. */
function fieldName(struct: AnyStruct, offset: number): string {
  const field = struct.fields.find((each) => offset >= each.offset && offset < each.offset + each.size);
  if (field === undefined) return offset === 0 ? "" : ` + ${offset}`;
  const each = field.size / field.count;
  const index = Math.floor((offset - field.offset) / each);
  const name = `.${field.name}${field.count === 1 ? "" : `[${index}]`}`;
  const inside = offset - field.offset - index * each;
  return field.struct === undefined ? name : name + fieldName(field.struct, inside);
}
