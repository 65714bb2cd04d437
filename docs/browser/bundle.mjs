// Bundles the scripts, and puts Python's runtime and the accessibility tests' library beside them.
import { build } from "esbuild";
import { cpSync, mkdirSync } from "node:fs";

await build({
  entryPoints: ["src/figures.ts", "src/playground.ts", "src/worker.ts"],
  outdir: "dist",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  external: ["./pyodide/pyodide.mjs"],
});
mkdirSync("dist/pyodide", { recursive: true });
for (const file of ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json"]) {
  cpSync(`node_modules/pyodide/${file}`, `dist/pyodide/${file}`);
}
