/**
 * The source files, parsed: what the tests of this folder walk.
 *
 * A rule is a function from a Source to the places that break it, so that each test can show it a file that does.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Comment, type Node, parseSync, type Program } from "oxc-parser";

const ROOT = join(import.meta.dirname, "../..");

export interface Source {
  /** From the root of the repository, with slashes: "src/shared/mem/memory.ts". */
  readonly path: string;
  readonly text: string;
  readonly program: Program;
  readonly comments: readonly Comment[];
}

/** Every TypeScript file under the folders. A folder that is not there has none. */
export function sourcesIn(...folders: string[]): Source[] {
  return folders
    .filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) => globSync("**/*.ts", { cwd: join(ROOT, folder) }).map((file) => `${folder}/${file}`))
    .toSorted()
    .map((path) => parse(path, readFileSync(join(ROOT, path), "utf8")));
}

/** @throws SyntaxError when the text is not TypeScript: a file that cannot be read is not a file that keeps the rules. */
export function parse(path: string, text: string): Source {
  const { program, comments, errors } = parseSync(path, text, { lang: "ts", sourceType: "module" });
  const [error] = errors;
  if (error !== undefined) throw new SyntaxError(`${path}: ${error.message}`);
  return { path, text, program, comments };
}

/** "path:line: what", the form of every violation. */
export function at(source: Source, where: { readonly start: number }, what: string): string {
  return `${source.path}:${source.text.slice(0, where.start).split("\n").length}: ${what}`;
}

const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

/**
 * Every node below `node` and itself, parents first.
 * @param options.insideFunctions  false: only what runs when the module is loaded.
 */
export function* nodes(node: Node, options = { insideFunctions: true }): Generator<Node> {
  yield node;
  if (!options.insideFunctions) {
    if (FUNCTIONS.has(node.type)) return;
    if (node.type === "PropertyDefinition" && !node.static) return; // Its value is computed per object.
  }
  for (const child of Object.values(node).flat() as unknown[]) {
    if (isNode(child)) yield* nodes(child, options);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
