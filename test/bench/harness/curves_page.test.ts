import { describe, expect, it } from "vitest";
import { curvesPage } from "../../../bench/harness/curves_page.ts";

const POINTS = [
  { x: 1000, y: 3 },
  { x: 10_000, y: 4 },
  { x: 100_000, y: 30 },
];
const page = curvesPage(
  [
    { along: "objects", metric: "time", name: "kmalloc", points: POINTS },
    { along: "objects", metric: "time", name: "a < b", points: POINTS.slice(1) },
    { along: "objects", metric: "bytes", name: "kmalloc", points: [{ x: 1, y: NaN }] },
  ],
  ["Some machine"],
);

describe("curvesPage()", () => {
  it("needs nothing from elsewhere", () => {
    expect(page).not.toMatch(/https?:|src=|@import|<link|<script/);
  });
  it("has a chart for each title, with a line for each curve and a dot for each point", () => {
    expect(page.match(/<h2>/g)).toHaveLength(2);
    expect(page.match(/<polyline/g)).toHaveLength(2);
    expect(page.match(/<circle/g)).toHaveLength(5);
  });
  it("places points by their logarithms", () => {
    const [, first] = /<polyline points="([^"]+)"/.exec(page) ?? [];
    const xs = first.split(" ").map((place) => Number(place.split(",")[0]));
    expect(xs[1] - xs[0]).toBeCloseTo(xs[2] - xs[1]);
  });
  it("says so where nothing was measured", () => {
    expect(page).toContain("Nothing was measured.");
  });
  it("escapes names", () => {
    expect(page).toContain("a &lt; b");
  });
});
