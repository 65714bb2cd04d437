// The figures of the story that can be moved. Every number was computed by finallayer.numerics when the site was built.

import { chart } from "./chart";
import { element } from "./elements";
import type { Blocks, Forms, Num } from "./numbers";

async function numbers<T>(name: string): Promise<T> {
  return (await fetch(new URL(`numbers/${name}.json`, import.meta.url))).json() as Promise<T>;
}

/** Infinities and NaN come as text. */
const finite = (value: Num): number | null => (typeof value === "number" ? value : null);

function figure(value: Num): string {
  if (typeof value !== "number") return String(value).replace("inf", "∞").replace("nan", "NaN");
  if (value === 0) return "0";
  const size = Math.abs(value);
  return (size >= 1e-3 && size < 1e5 ? Number(value.toPrecision(4)).toString() : value.toExponential(2)).replace("-", "−");
}

function choice(label: string, options: string[], changed: () => void): [HTMLElement, HTMLSelectElement] {
  const select = element("select", {}, ...options.map((o) => element("option", {}, o)));
  select.addEventListener("change", changed);
  return [element("label", {}, `${label} `, select), select];
}

function slider(label: string, most: number, value: number, changed: () => void): [HTMLElement, HTMLInputElement, HTMLOutputElement] {
  const input = element("input", { type: "range", min: "0", max: String(most), value: String(value) });
  const output = element("output", {});
  input.addEventListener("input", changed);
  return [element("label", {}, `${label} `, input, " ", output), input, output];
}

/** Loss and gradient of every way to write cross-entropy, against the truth. */
async function forms(root: HTMLElement): Promise<void> {
  const { margins, truth, constants, forms, dtypes } = await numbers<Forms>("forms");
  const [formLabel, form] = choice("Written as", forms.map((f) => f.code), () => draw());
  const [constantLabel, constant, constantShown] = slider("c", constants.length - 1, constants.indexOf(1e-7), () => draw());
  const [dtypeLabel, dtype] = choice("in", dtypes, () => draw());
  const [marginLabel, margin, marginShown] = slider("margin", margins.length - 1, margins.indexOf(16), () => draw());
  const pictures = element("div", { class: "fl-pictures" });
  const told = element("p", { class: "fl-told", "aria-live": "polite" });
  form.selectedIndex = 1;

  function draw(): void {
    const chosen = forms[form.selectedIndex]!;
    const free = chosen.curves[0]!.constant !== null;
    const c = free ? constants[Number(constant.value)]! : null;
    const curve = chosen.curves.find((k) => k.constant === c && k.dtype === dtype.value)!;
    const at = Number(margin.value);
    constant.disabled = !free;
    constantShown.textContent = c === null ? "none" : String(c);
    marginShown.textContent = String(margins[at]);
    const limit = curve.safe_margin === "inf" ? "at every margin" : `up to a margin of ${figure(curve.safe_margin)}`;
    told.textContent =
      `At a margin of ${margins[at]} the loss is ${figure(curve.loss[at]!)} (truth ${figure(truth.loss[at]!)}) and its gradient at the target ` +
      `${figure(curve.gradient[at]!)} (truth ${figure(truth.gradient[at]!)}). The gradient is right ${limit}.`;
    const pair = (what: "loss" | "gradient") => [
      { name: "truth", values: truth[what].map(finite), colour: "var(--fl-truth)", dashed: true },
      { name: "as written", values: curve[what].map(finite), colour: "var(--fl-wrong)" },
    ];
    const size = { margins, at: margins[at], width: 420, height: 240 };
    pictures.replaceChildren(
      chart({ ...size, lines: pair("loss"), label: "loss (nats)", told: `Loss of ${chosen.code} over the margin. ${told.textContent}` }),
      chart({ ...size, lines: pair("gradient"), label: "gradient at the target", told: `Gradient of ${chosen.code} over the margin. ${told.textContent}` }),
    );
  }

  root.replaceChildren(element("div", { class: "fl-controls" }, formLabel, constantLabel, dtypeLabel, marginLabel), pictures, told);
  draw();
}

/** One row of logits through softmax and cross-entropy, forward and back, and through the two in one step. */
async function blocks(root: HTMLElement): Promise<void> {
  const { rows } = await numbers<Blocks>("blocks");
  const [label, margin, shown] = slider("margin by which the target trails", rows.length - 1, rows.findIndex((r) => r.margin === 2), () => draw());
  const tables = element("div", { class: "fl-blocks" });
  const told = element("p", { class: "fl-told", "aria-live": "polite" });

  const list = (values: Num[]) => `[${values.map(figure).join(", ")}]`;
  function row(name: string, forward: string, back: string): HTMLElement {
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, forward), element("td", {}, back));
  }
  function table(caption: string, ...rows: HTMLElement[]): HTMLElement {
    const head = element("tr", {}, ...["", "forward →", "← gradient"].map((t) => element("th", { scope: "col" }, t)));
    const made = element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...rows));
    return element("div", { class: "fl-table", tabindex: "0" }, made);
  }
  function draw(): void {
    const now = rows[Number(margin.value)]!;
    shown.textContent = String(now.margin);
    tables.replaceChildren(
      table(
        "Two blocks: softmax, then cross-entropy",
        row("logits z", list(now.z), list(now.two.dz)),
        row("x = softmax(z)", list(now.x), list(now.two.dx)),
        row("−log x at the target", figure(now.two.loss), "1"),
      ),
      table("One block: XentLogits", row("logits z", list(now.z), list(now.one.dz)), row("log Σ exp(z) − z at the target", figure(now.one.loss), "1")),
    );
    const broken = now.two.dz.some((v) => typeof v !== "number");
    told.textContent = broken
      ? "The target's probability is 0 in float32: −p/x is infinite, and behind softmax it is NaN. In one step the gradient is softmax(z) − p, as ever."
      : `−p/x is ${figure(now.two.dx[1]!)} here. In one step it never occurs.`;
  }
  root.replaceChildren(element("div", { class: "fl-controls" }, label), tables, told);
  draw();
}

const DRAWN: Record<string, (root: HTMLElement) => Promise<void>> = { forms, blocks };
for (const root of document.querySelectorAll<HTMLElement>("[data-figure]")) void DRAWN[root.dataset.figure!]?.(root);
