/** `sheaf slabinfo` and `sheaf sysfs` as their user sees them, on machines with threads. */
import { describe, expect, test } from "vitest";
import type { Output } from "../../../src/main/command.ts";
import { type Captured, run } from "../captured.ts";

const MACHINE = "--cpus 2 --memory 8MiB --duration 300ms --seed 1";

const sheaf = (line: string, streams: Partial<Output> = {}): Promise<Captured> => run(line.split(" "), streams);

describe("sheaf slabinfo", () => {
  test("prints the file, with what the torture has allocated", async () => {
    const { code, out, err } = await sheaf(`slabinfo ${MACHINE}`);
    expect({ code, err }).toEqual({ code: 0, err: [] });
    const [version, , ...lines] = out[0].split("\n");
    expect(version).toBe("slabinfo - version: 2.1");
    expect(lines.find((line) => line.startsWith("kmalloc-64 "))).toMatch(
      /^kmalloc-64 +[1-9]\d* +[1-9]\d* +64 +64 +1 : tunables +0 +0 +0 : slabdata +(\d+) +\1 +0$/,
    );
  });
  test("--json --watch prints an array each second, then the last one", async () => {
    const { code, out } = await sheaf(`slabinfo ${MACHINE.replace("300ms", "1200ms")} --json --watch`);
    expect(code).toBe(0);
    expect(out).toHaveLength(2);
    for (const line of out) {
      expect(JSON.parse(line)).toContainEqual(expect.objectContaining({ name: "kmalloc-64", objsize: 64 }));
    }
  });
  test("--watch redraws where the answer goes to a terminal, wherever errors go", async () => {
    const watch = `slabinfo ${MACHINE} --watch`;
    const shown = await sheaf(watch, { onTerminal: true });
    expect(shown.out[0].startsWith("\u001b[H\u001b[Jslabinfo - version")).toBe(true);
    const stored = await sheaf(watch, { onTerminal: false, progress: () => undefined });
    expect(stored.out[0]).toMatch(/^slabinfo - version/);
  });
});

describe("sheaf sysfs", () => {
  test("prints a file", async () => {
    const { code, out } = await sheaf(`sysfs kmalloc-64/alloc_fastpath ${MACHINE}`);
    expect(code).toBe(0);
    expect(out).toEqual([expect.stringMatching(/^[1-9]\d* C0=\d+/)]);
  });
  test("prints all files of a cache", async () => {
    const { code, out } = await sheaf(`sysfs /sys/kernel/slab/kmalloc-64 ${MACHINE}`);
    expect(code).toBe(0);
    expect(out).toContain("object_size               64");
    expect(out).toContain("validate");
  });
  test("names the caches; there is none of another name", async () => {
    const { code, out } = await sheaf(`sysfs --json ${MACHINE}`);
    expect(code).toBe(0);
    const names = ["kmalloc-64", "kmem_cache", "kmem_cache_node"];
    expect(JSON.parse(out[0])).toEqual(expect.arrayContaining(names.map((name) => ({ name }))));
    expect(await sheaf(`sysfs nothing ${MACHINE}`)).toEqual({
      code: 2,
      out: [],
      err: ["sheaf: nothing: there is no cache 'nothing': 'sheaf sysfs' lists them"],
    });
  });
  test("a write is done by the machine, and read back", async () => {
    const { code, out } = await sheaf(`sysfs kmalloc-64/min_partial --write 9 --json ${MACHINE}`);
    expect(code).toBe(0);
    expect(JSON.parse(out[0])).toEqual({ cache: "kmalloc-64", files: { min_partial: 9 } });
  });
  test.each([
    ["kmalloc-64/cpu_partial", "9", "-EINVAL"],
    ["nothing/shrink", "1", "-ENOENT"],
  ])("a write to %s of %s is refused: %s", async (path, value, error) => {
    const { code, out, err } = await sheaf(`sysfs ${path} --write ${value} ${MACHINE}`);
    expect({ code, out, err }).toEqual({ code: 2, out: [], err: [`sheaf: ${path}: write '${value}': ${error}`] });
  });
  test.each([
    ["kmalloc-64/nothing", /has no file 'nothing'/],
    ["kmalloc-64/", /must be CACHE or CACHE\/FILE/],
    ["a/b/c", /must be CACHE or CACHE\/FILE/],
    ["kmalloc-64 --write 1", /--write needs a file/],
    ["kmalloc-64/objects --write 1", /objects cannot be written/],
    [`kmalloc-64/shrink --write ${"1".repeat(33)}`, /at most 32 characters/],
    ["kmalloc-64/shrink --write \u00b1", /--write must be printable ASCII/],
    ["kmalloc-64/shrink --write 1\n", /--write must be printable ASCII/],
    ["kmalloc-6\u00b4/shrink --write 1", /the path must be CACHE or CACHE\/FILE in printable ASCII/],
    ["kmalloc-64\n", /the path must be CACHE or CACHE\/FILE in printable ASCII/],
    [`${"k".repeat(25)}/shrink --write 1`, /a cache's name has at most 24 characters: 'sheaf sysfs' lists them/],
    ["a b", /unexpected argument 'b'/],
  ])("%s is no command line", async (line, message) => {
    const { code, out, err } = await sheaf(`sysfs ${line}`);
    expect({ code, out, lines: err.length }).toEqual({ code: 2, out: [], lines: 1 });
    expect(err[0]).toMatch(message);
  });
});
