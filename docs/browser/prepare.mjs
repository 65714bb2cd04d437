// Does once what each reader's browser would do at every visit: node prepare.mjs FOLDER-OF-SCRIPTS
//
// The playground's program is compiled for Python in the browser, and Python is started, with what the program needs of
// its library: to put its memory back takes a tenth of the time.
import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { loadPyodide } from "pyodide";

const COMPILE = `
import compileall, pathlib, py_compile, zipfile

program = pathlib.Path("/program")
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(program, quiet=1, legacy=True, invalidation_mode=unchecked)
with zipfile.ZipFile("/compiled.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for path in sorted(program.rglob("*.pyc")):
        archive.write(path, path.relative_to(program))
`;
const USED = `
import sys

sys.path.insert(0, "/program")
import playground

playground.look("train.py", "import torch\\ndef f(z, y):\\n    return torch.nn.functional.cross_entropy(z.softmax(1), y)\\n")
" ".join(sorted(name for name in sys.modules if name.partition(".")[0] in sys.stdlib_module_names - {"__main__"}))
`;

const folder = process.argv[2];
const python = await loadPyodide();
python.unpackArchive(new Uint8Array(readFileSync(`${folder}/python.zip`)), "zip", { extractDir: "/program" });
python.runPython(COMPILE);
writeFileSync(`${folder}/python.zip`, python.FS.readFile("/compiled.zip"));

const started = await loadPyodide({ _makeSnapshot: true });
started.runPython(python.runPython(USED).split(" ").map((name) => `import ${name}`).join("\n"));
writeFileSync(`${folder}/pyodide/snapshot.bin.gz`, gzipSync(started.makeMemorySnapshot()));
