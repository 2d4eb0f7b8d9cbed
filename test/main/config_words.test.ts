/** The words of --config: what each sets, what they exclude, and what `random` draws. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { clashOf, configRows, drawWords, parseConfigWords, splitWords } from "../../src/main/config_option.ts";
import { CONFIG_WORDS, type ConfigCommand, type Draw } from "../../src/main/config_words.ts";
import { UnsupportedError } from "../../src/main/errors.ts";
import { GLOBALS_LETTERS, type Settings } from "../../src/main/settings.ts";
import { Random } from "../../src/shared/base/random.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import {
  SLAB_CONSISTENCY_CHECKS,
  SLAB_DEBUG_NO_HIGHER_ORDER,
  SLAB_FAILSLAB,
  SLAB_POISON,
  SLAB_RED_ZONE,
} from "../../src/shared/layout/slab_flags.ts";

const folder = mkdtempSync(join(tmpdir(), "sheaf-"));
afterAll(() => rmSync(folder, { recursive: true }));

const half = 2 ** 31;
/** What each word sets; a word that is added gets its line here. */
const MEANINGS: readonly (readonly [word: string, settings: Settings])[] = [
  ["tiny", { globals: { tiny: 1 } }],
  ["quiet-memory", { noise: false }],
  ["spurious=0.5", { globals: { spurious: half } }],
  ["spurious=1", { globals: { spurious: 2 ** 32 - 1 } }],
  ["numa=2", { nodes: 2 }],
  ["nodes=2", { nodes: 2 }],
  ["numa=3:memless", { nodes: 3, memless: true }],
  ["no-memoryless", { globals: { no_memoryless: 1 } }],
  ["unbatched", { globals: { unbatched: 1 } }],
  ["cached=0", { globals: { rcu_min_cached_objs: 0 } }],
  ["nohz", { globals: { nohz: 1 } }],
  ["merge", { globals: { slab_merge: 1 } }],
  ["dma", { globals: { zone_dma: 1 } }],
  ["partitions=3", { globals: { kmalloc_partitions: 3 } }],
  ["buckets", { globals: { slab_buckets: 1 } }],
  ["reserve=16", { globals: { min_free_pages: 16 } }],
  ["hardened", { globals: { hardened: 1 } }],
  ["shuffle", { globals: { shuffle: 1 } }],
  ["nocmpxchg", { globals: { nocmpxchg: 1 } }],
  ["lowmem=0.5", { globals: { lowmem: half } }],
  ["failslab=0.5", { globals: { failslab: half } }],
  ["failslab=0.5:marked", { globals: { failslab: half, failslab_marked: 1 } }],
  ["rt", { globals: { rt: 1 } }],
  ["migrate", { globals: { migrate: 1 } }],
  ["hotplug", { globals: { hotplug: 1 } }],
  ["debug=FZ", { slabDebug: { flags: SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE, caches: [] } }],
  ["debug=-", { slabDebug: { flags: 0, caches: [] } }],
  [
    "debug=PAO:kmalloc-*:maple_node",
    {
      slabDebug: {
        flags: SLAB_POISON | SLAB_FAILSLAB | SLAB_DEBUG_NO_HIGHER_ORDER,
        caches: ["kmalloc-*", "maple_node"],
      },
    },
  ],
];
test.each(MEANINGS)("%s", (word, settings) => {
  expect(parseConfigWords("torture", [word])).toEqual(settings);
});
test("every word that is there has its line above", () => {
  const tested = new Set(MEANINGS.map(([word]) => word.split("=")[0]));
  const missing = CONFIG_WORDS.filter(({ name, planned }) => planned === undefined && !tested.has(name));
  expect(missing.map(({ name }) => name)).toEqual([]);
});

test("words add up", () => {
  expect(parseConfigWords("torture", ["tiny", "numa=2", "quiet-memory", "nohz"])).toEqual({
    globals: { tiny: 1, nohz: 1 },
    nodes: 2,
    noise: false,
  });
  expect(parseConfigWords("torture", [])).toEqual({});
});
test("explore has most of them, and debugs all caches or none", () => {
  expect(parseConfigWords("explore", ["hardened", "numa=2:memless", "debug=F"])).toEqual({
    globals: { hardened: 1, slab_debug: SLAB_CONSISTENCY_CHECKS },
    nodes: 2,
    memless: true,
  });
});

test("words that exclude each other are noticed wherever they come from", () => {
  expect(clashOf({ rt: 1, tiny: 1 })).toBe(undefined);
  expect(clashOf({ rt: 1, migrate: 0 })).toBe(undefined);
  expect(clashOf({ rt: 1, migrate: 1 })).toEqual(["migrate", "rt"]);
  expect(clashOf({ preempt: 1, hotplug: 1 })).toEqual(["hotplug", "preempt"]);
});

test.each<[ConfigCommand, string, string | RegExp]>([
  ["explore", "quiet-memory", "unknown word 'quiet-memory' in --config: did you mean no-memoryless?"],
  ["torture", "hardend", "unknown word 'hardend' in --config: did you mean hardened?"],
  ["torture", "lowmem", "--config lowmem needs a value: lowmem=P"],
  ["torture", "hardened=1", "--config hardened takes no value"],
  ["torture", "numa=2=3", "numa must be an integer from 1 to 4, not '2=3'"],
  ["torture", "", "unknown word '' in --config: see 'sheaf list config'"],
  ["torture", "lowmem=1.5", "lowmem must be a probability from 0 to 1, not '1.5'"],
  ["torture", "failslab=x", "failslab must be a probability from 0 to 1, not 'x'"],
  ["torture", "failslab=0.1:all", "failslab must be P or P:marked, not '0.1:all'"],
  ["torture", "numa=5:memless", "numa must be an integer from 2 to 4, not '5'"],
  ["torture", "debug=FX", "debug must be letters of FZPUTAO, or -, not 'FX'"],
  ["torture", "debug=:kmalloc-64", "debug must be letters of FZPUTAO, or -, not ''"],
  ["torture", "debug=F:", "debug=F is for caches by name, with * for anything, not ''"],
  ["torture", "debug=F:a b", "debug=F is for caches by name, with * for anything, not 'a b'"],
  ["torture", `debug=F:${"x".repeat(200)}`, /^debug names too many caches: there is room for \d+ characters$/],
  ["explore", "debug=F:kmalloc-64", "debug of single caches is for torture: explore debugs all or none"],
])("%s --config '%s' is refused", (command, word, message) => {
  expect(() => parseConfigWords(command, [word])).toThrow(message);
});

test("the list has all that are there", () => {
  const rows = new Map(configRows());
  expect(rows.get("tiny")).toBe("small capacities");
  expect(rows.get("quiet-memory")).toContain("(torture only)");
  expect(rows.size).toBe(CONFIG_WORDS.filter(({ planned }) => planned === undefined).length);
});

describe("the table", () => {
  const names = CONFIG_WORDS.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias]));
  test("names are different, and none is the word that draws", () => {
    expect(new Set(names).size).toBe(names.length);
    expect(names).not.toContain("random");
  });
  test("what is excluded exists", () => {
    for (const { excludes = [] } of CONFIG_WORDS) for (const other of excludes) expect(names).toContain(other);
  });
  test("excluding works both ways", () => {
    for (const { name, excludes = [], value, planned } of CONFIG_WORDS) {
      for (const other of excludes) {
        const entry = CONFIG_WORDS.find((each) => each.name === other);
        if (value !== undefined || planned || entry?.value !== undefined || entry?.planned) continue;
        const message = `--config ${name} and ${other} exclude each other: leave one out`;
        expect(() => parseConfigWords("torture", [name, other])).toThrow(message);
        expect(() => parseConfigWords("torture", [other, name])).toThrow(message);
      }
    }
  });
  test("what is planned is not there", () => {
    for (const { name, planned } of CONFIG_WORDS) {
      if (planned) expect(() => parseConfigWords("torture", [name])).toThrow(UnsupportedError);
    }
  });
  test("each word of globals exists, and has its own letters in a token", () => {
    const letters = Object.values(GLOBALS_LETTERS);
    expect(new Set([...letters, "N", "T", "M", "X", "NN", "NM"]).size).toBe(letters.length + 6);
    for (const each of letters) expect(each).toMatch(/^[A-Z]+$/);
    for (const word of Object.keys(GLOBALS_LETTERS)) expect(Object.keys(Globals.offset)).toContain(word);
  });
});

test("words from a file: one on each line, comments and empty lines left out", () => {
  const path = join(folder, "words");
  writeFileSync(path, "# small\ntiny\n\n  numa=2:memless  # one without memory\n#nohz\n");
  expect(splitWords(`@${path}`)).toEqual(["tiny", "numa=2:memless"]);
  expect(splitWords("tiny,nohz")).toEqual(["tiny", "nohz"]);
  expect(() => splitWords(`@${folder}`)).toThrow(`--config: there is no file '${folder}' to read`);
});

describe("random", () => {
  const drawing = (seed: number): Draw => {
    const random = new Random(seed);
    return (n) => random.below(n);
  };
  const fits = (words: readonly string[]): boolean => {
    try {
      parseConfigWords("torture", words);
      return true;
    } catch {
      return false;
    }
  };
  const drawn = Array.from({ length: 300 }, (_, seed) => drawWords("torture", drawing(seed), fits));
  test("the seed decides", () => {
    expect(drawWords("torture", drawing(7), fits)).toEqual(drawn[7]);
    expect(new Set(drawn.map(String)).size).toBeGreaterThan(200);
  });
  test("every word that can be drawn is, and nothing that does not go together", () => {
    for (const words of drawn) expect(fits(words)).toBe(true);
    const seen = new Set(drawn.flat().map((word) => word.split("=")[0]));
    const drawable = CONFIG_WORDS.filter(({ draw, planned }) => draw !== undefined && planned === undefined);
    expect(seen).toEqual(new Set(drawable.map(({ name }) => name)));
  });
  test("a word that does not fit leaves the others as they are", () => {
    for (const [seed, words] of drawn.entries()) {
      const withoutTiny = drawWords("torture", drawing(seed), (all) => fits(all) && !all.includes("tiny"));
      expect(withoutTiny).toEqual(words.filter((word) => word !== "tiny"));
    }
  });
});
