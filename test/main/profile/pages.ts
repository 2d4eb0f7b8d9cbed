/** What tests of clinic's pages need: whether clinic is here, and which functions a page's data names. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { CLINIC } from "../../../src/main/profile/clinic.ts";

/** Why there is no clinic, or undefined. Asks npm's cache only: fetching it would take a minute. */
export function clinicMissing(): string | undefined {
  const args = ["exec", "--offline", "--yes", `--package=${CLINIC}`, "--", "clinic", "--version"];
  const { status } = spawnSync("npm", args, { stdio: "ignore", timeout: 60_000 });
  return status === 0 ? undefined : `${CLINIC} is not in npm's cache: \`npm run flame\` fetches it`;
}

/** The functions of the program in the data of a page. */
export function functionsOf(page: string): ReadonlySet<string> {
  const html = readFileSync(page, "utf8");
  const found = html.matchAll(/"functionName":"([^"]+)",[^{}]*?"category":"app"/g);
  return new Set(Array.from(found, ([, name]) => name));
}

/** Functions of the allocator that any second of scenario nolock spends time in. */
export const ALLOCATOR = ["__slab_free", "__kmalloc_nolock", "kfree_nolock", "kfree_rcu_nolock"];
