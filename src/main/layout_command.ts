/** `sheaf layout`: the structs as pahole prints them, and the map of the buffer; or what an object's head costs. */
import { PAGE_SIZE } from "../shared/base/limits.ts";
import * as cpu from "../shared/layout/cpu.ts";
import * as debug from "../shared/layout/debug.ts";
import * as debug_kasan from "../shared/layout/debug_kasan.ts";
import * as debug_kfence from "../shared/layout/debug_kfence.ts";
import * as debug_memcg from "../shared/layout/debug_memcg.ts";
import * as globals from "../shared/layout/globals.ts";
import * as irqWork from "../shared/layout/irq_work.ts";
import * as kvfreeRcu from "../shared/layout/kvfree_rcu.ts";
import { MachineMap } from "../shared/layout/map.ts";
import * as nolockRfc from "../shared/layout/nolock_rfc.ts";
import * as page from "../shared/layout/page.ts";
import * as percpu from "../shared/layout/percpu.ts";
import * as rcu from "../shared/layout/rcu.ts";
import * as slab from "../shared/layout/slab.ts";
import * as timer from "../shared/layout/timer.ts";
import * as torture from "../shared/layout/torture.ts";
import * as types from "../shared/layout/types.ts";
import * as vmalloc from "../shared/layout/vmalloc.ts";
import * as workqueue from "../shared/layout/workqueue.ts";
import * as workloads from "../shared/layout/workloads.ts";
import type { AnyStruct, FieldInfo } from "../shared/mem/struct.ts";
import type { Command } from "./command.ts";
import { comparisonJson, compareHeads, formatComparison } from "./compare_heads.ts";
import { UsageError } from "./errors.ts";
import { EXIT_SUCCESS } from "./exit_code.ts";
import { CPUS_OPTION, MEMORY_OPTION, parseShape } from "./shape.ts";
import { formatSize } from "./values.ts";

const HEADERS = [
  types,
  irqWork,
  timer,
  workqueue,
  page,
  slab,
  vmalloc,
  rcu,
  kvfreeRcu,
  nolockRfc,
  debug,
  debug_kasan,
  debug_kfence,
  debug_memcg,
  cpu,
  torture,
  workloads,
  percpu,
  globals,
];

/** Every struct of src/shared/layout, lower headers first. */
export const STRUCTS: readonly AnyStruct[] = HEADERS.flatMap((header) => Object.values(header).filter(isStruct));

function isStruct(value: unknown): value is AnyStruct {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "struct";
}

export const layout: Command = {
  usage: "[STRUCT]",
  description:
    "Prints every struct, or the one named, with offset and size in bytes, then the map of the machine's memory.",
  options: [
    CPUS_OPTION,
    MEMORY_OPTION,
    { name: "compare-heads", summary: "what objects cost with struct kvfree_rcu_head, and what with struct rcu_head" },
    { name: "json", summary: "with --compare-heads: print one JSON object, and nothing else" },
  ],
  maxPositionals: 1,
  async run(options, output) {
    const [wanted] = options.positionals;
    const shape = parseShape(options, {});
    const json = options.on("json");
    if (options.on("compare-heads")) {
      if (wanted !== undefined) throw new UsageError("--compare-heads takes no struct: it makes its own");
      output.out((json ? comparisonJson : formatComparison)(compareHeads(shape.cpus), shape.cpus));
      return EXIT_SUCCESS;
    }
    if (json) throw new UsageError("--json goes with --compare-heads");
    const chosen = wanted === undefined ? STRUCTS : STRUCTS.filter((each) => each.name === wanted);
    if (chosen.length === 0) throw new UsageError(`unknown struct '${wanted}': 'sheaf layout' prints them all`);
    for (const each of chosen) output.out(describeStruct(each));
    if (wanted === undefined) output.out(describeMap(new MachineMap(shape)));
    return EXIT_SUCCESS;
  },
};

/** One struct as pahole prints it, with holes, and padding at the end. */
export function describeStruct(struct: AnyStruct): string {
  const lines = [`struct ${struct.name} {`];
  let end = 0;
  let holes = 0;
  for (const field of struct.fields) {
    const shares = field.offset < end; // A union member.
    if (!shares && field.offset > end) {
      lines.push(`\n\t/* XXX ${bytes(field.offset - end)} hole */\n`);
      holes += field.offset - end;
    }
    lines.push(describeField(field, shares));
    end = Math.max(end, field.offset + field.size);
  }
  const padding = struct.size - end;
  lines.push("");
  lines.push(`\t/* size: ${struct.size}, align: ${struct.align}, members: ${struct.fields.length} */`);
  if (holes > 0) lines.push(`\t/* sum holes: ${holes} */`);
  if (padding > 0) lines.push(`\t/* padding: ${padding} */`);
  return `${lines.join("\n")}\n};\n`;
}

function describeField({ name, ctype, offset, size, access, count }: FieldInfo, shares: boolean): string {
  const declaration = `${ctype.endsWith("*") ? ctype : `${ctype} `}${name}${count === 1 ? "" : `[${count}]`};`;
  const notes = [access === "atomic" ? "atomic" : "", shares ? "shares" : ""].filter((note) => note !== "");
  const place = `${String(offset).padStart(6)} ${String(size).padStart(6)}`;
  return `\t${declaration.padEnd(48)} /* ${place}${notes.map((note) => `  ${note}`).join("")} */`;
}

const bytes = (n: number): string => `${n} ${n === 1 ? "byte" : "bytes"}`;

/** Which address holds what. */
export function describeMap(map: MachineMap): string {
  const { shape } = map;
  const areaBytes = map.nrVmallocPages * vmalloc.VmapArea.size;
  const rows: [number, string][] = [
    [0, `unused: address 0 is NULL (${PAGE_SIZE} bytes)`],
    [map.globals, `globals (${globals.Globals.size} bytes)`],
  ];
  for (let id = 0; id < shape.cpus; id++) {
    rows.push([map.section(id), `per-CPU section of CPU ${id}, node ${map.nodeOfCpu(id)} (${map.percpuStride} bytes)`]);
  }
  rows.push([map.memMap, `mem_map: ${map.nrPages} struct page (${map.nrPages * page.Page.size} bytes)`]);
  rows.push([map.vmapAreas, `vmap_areas: ${map.nrVmallocPages} struct vmap_area (${areaBytes} bytes)`]);
  for (let node = 0; node < shape.nodes; node++) {
    const start = map.pages + node * map.pagesPerNode * PAGE_SIZE;
    rows.push([start, `pages of node ${node}: ${map.pagesPerNode} (${map.pagesPerNode * PAGE_SIZE} bytes)`]);
  }
  rows.push([map.vmalloc, `vmalloc area: ${map.nrVmallocPages} pages (${map.vmallocEnd - map.vmalloc} bytes)`]);
  rows.push([shape.bytes, "end"]);
  const lines = rows.map(([address, what]) => `  0x${address.toString(16).padStart(8, "0")}  ${what}`);
  return `memory map, ${formatSize(shape.bytes)}, ${shape.cpus} CPUs:\n${lines.join("\n")}`;
}
