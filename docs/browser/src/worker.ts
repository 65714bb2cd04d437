// Python, and finallayer in it, away from the page: it asks, and nothing that it says leaves the browser.

import type { Answer, Question } from "./protocol";

interface Playground {
  look(name: string, text: string): string;
  opened(name: string, data: unknown): string;
}

const tell = (answer: Answer): void => postMessage(answer);

const asset = (path: string): Promise<Response> => fetch(new URL(path, import.meta.url));

/** Python as it was when the site was built and had started it; started here where that can't be put back. */
async function load(): Promise<any> {
  // @ts-expect-error It lies beside this file and isn't bundled.
  const runtime = import("./pyodide/pyodide.mjs");
  const { body } = await asset("pyodide/snapshot.bin.gz");
  const memory = await new Response(body!.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  const { loadPyodide } = await runtime;
  return loadPyodide({ _loadSnapshot: new Uint8Array(memory) }).catch(() => loadPyodide());
}

async function start(): Promise<{ playground: Playground; bytes: (data: Uint8Array) => unknown }> {
  const archive = asset("python.zip").then((r) => r.arrayBuffer());
  const python = await load();
  python.FS.writeFile("/program.zip", new Uint8Array(await archive)); // which Python imports from as it is
  python.runPython("import sys; sys.path.insert(0, '/program.zip')");
  const playground: Playground = python.pyimport("playground");
  tell({ ready: true });
  return { playground, bytes: (data) => python.toPy(data) };
}

const started = start();

onmessage = async ({ data }: MessageEvent<Question>): Promise<void> => {
  try {
    const { playground, bytes } = await started;
    const said = data.ask === "look" ? playground.look(data.name, data.text) : playground.opened(data.name, bytes(data.data));
    tell({ id: data.id, said });
  } catch (error) {
    tell({ id: data.id, error: String(error) });
  }
};
