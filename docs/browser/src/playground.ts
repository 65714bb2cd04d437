// The playground: a program is checked while it is written, in the browser, and nothing is uploaded.

import { Checker } from "./checker";
import { Editor } from "./editor";
import { byId, element } from "./elements";
import { EXAMPLES } from "./examples";
import { counted, shown } from "./findings";

const PAUSE = 400; // ms without a key before the program is looked at

const status = byId("fl-status");
const results = byId("fl-results");
const examples = byId<HTMLSelectElement>("fl-example");
const picked = byId<HTMLInputElement>("fl-file");
const share = byId<HTMLButtonElement>("fl-share");

const checker = new Checker();
let name = "train.py";
let timer: ReturnType<typeof setTimeout> | undefined;
let version = 0;

const editor = new Editor(byId("fl-editor"), () => {
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE);
});

async function look(): Promise<void> {
  const mine = ++version;
  try {
    const looked = await checker.look(name, editor.text);
    if (mine !== version) return; // the program has changed meanwhile
    editor.underline(looked.findings);
    results.replaceChildren(...shown(looked, { show: (place) => editor.show(place), replace: (text) => (editor.text = text) }));
    status.textContent = `${name}: ${counted(looked.findings)}`;
  } catch (error) {
    if (mine === version) say((error as Error).message);
  }
}

function say(text: string): void {
  status.textContent = text;
  results.replaceChildren();
}

function put(file: string, text: string): void {
  name = file;
  editor.text = text;
}

async function open(file: File): Promise<void> {
  const opened = await checker.open(file.name, new Uint8Array(await file.arrayBuffer()));
  if ("error" in opened) say(opened.error);
  else put(file.name, opened.text);
}

function shared(): { name: string; text: string } | null {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const text = fragment.get("text");
  return text === null ? null : { name: fragment.get("name") ?? "train.py", text };
}

function readFragment(): void {
  const given = shared();
  if (given !== null) put(given.name, given.text);
}

for (const example of EXAMPLES) examples.append(element("option", {}, example.title));
examples.addEventListener("change", () => {
  const example = EXAMPLES[examples.selectedIndex];
  if (example) put("train.py", example.text);
});
picked.addEventListener("change", () => picked.files?.[0] && void open(picked.files[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) void open(file);
});
share.addEventListener("click", async () => {
  location.hash = new URLSearchParams({ name, text: editor.text }).toString();
  await navigator.clipboard?.writeText(location.href).catch(() => undefined);
  status.textContent = "The address now holds this program; it has been copied.";
});
addEventListener("hashchange", readFragment);

put("train.py", EXAMPLES[0]!.text);
readFragment();
checker.ready.catch((error: Error) => say(`Python could not be loaded: ${error.message}`));
