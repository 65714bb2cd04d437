// Python, and finallayer in it, away from the page: it asks, and nothing that it says leaves the browser.

import type { Answer, Question } from "./protocol";

interface Playground {
  look(name: string, text: string): string;
  opened(name: string, data: unknown): string;
}

const tell = (answer: Answer): void => postMessage(answer);

async function start(): Promise<{ playground: Playground; bytes: (data: Uint8Array) => unknown }> {
  const archive = fetch(new URL("python.zip", import.meta.url)).then((r) => r.arrayBuffer());
  // @ts-expect-error It lies beside this file and isn't bundled.
  const { loadPyodide } = await import("./pyodide/pyodide.mjs");
  const python = await loadPyodide();
  python.unpackArchive(await archive, "zip", { extractDir: "/finallayer" });
  python.runPython("import sys; sys.path.insert(0, '/finallayer')");
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
