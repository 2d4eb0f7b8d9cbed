/** What takes long to find out is found out once. */
import { expect, test } from "vitest";
import { remembered } from "../../../src/shared/base/remembered.ts";

test("each key is asked for once, until there are too many", () => {
  const asked: string[] = [];
  const lines = (key: string): readonly string[] =>
    remembered(key, () => {
      asked.push(key);
      return [key, "and so on"];
    });
  expect(lines("a")).toEqual(["a", "and so on"]);
  expect(lines("b")).toEqual(["b", "and so on"]);
  expect(lines("a")).toEqual(["a", "and so on"]);
  expect(asked).toEqual(["a", "b"]);
  for (let i = 0; i < 4096; i++) lines(`${i}`);
  expect(lines("a")).toEqual(["a", "and so on"]);
  expect(asked.filter((key) => key === "a")).toHaveLength(2);
});
