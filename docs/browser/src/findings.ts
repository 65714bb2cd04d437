// The findings, as the page shows them: what is wrong and where, what it costs, and what to write instead.

import { chart } from "./chart";
import { button, element } from "./elements";
import type { Changed, Finding, Looked, Place } from "./protocol";

export interface Actions {
  show(place: Place): void;
  replace(text: string): void;
}

export function shown(looked: Looked, actions: Actions): HTMLElement[] {
  const { findings, notes, fixed } = looked;
  const parts: HTMLElement[] = [element("p", { class: "fl-count" }, counted(findings))];
  if (fixed !== null && fixed.count > 1) parts.push(offer(`Make all ${fixed.count} safe fixes`, fixed, actions));
  parts.push(...findings.map((f) => article(f, actions)));
  if (notes.length > 0) parts.push(element("ul", { class: "fl-notes" }, ...notes.map((n) => element("li", {}, n))));
  return parts;
}

export function counted(findings: Finding[]): string {
  if (findings.length === 0) return "No findings.";
  const parts = (["error", "warning", "advice"] as const)
    .map((severity) => [findings.filter((f) => f.severity === severity).length, severity] as const)
    .filter(([n]) => n > 0)
    .map(([n, severity]) => `${n} ${severity}${n > 1 && severity !== "advice" ? "s" : ""}`);
  return `Found ${parts.join(", ")}.`;
}

function article(finding: Finding, actions: Actions): HTMLElement {
  const { rule, severity, message } = finding;
  const title = element("h3", {}, element("span", { class: `fl-${severity}` }, severity), ` line ${finding.line}: `);
  title.append(element("a", { href: `rules/${rule}.html` }, `${rule} ${finding.name}`));
  const places = element("p", { class: "fl-places" }, button(`Go to line ${finding.line}`, () => actions.show(finding)));
  for (const place of finding.related) places.append(" ", button(`line ${place.line}: ${place.message}`, () => actions.show(place)));
  const parts = [title, element("p", {}, ...withCode(message)), places, loss(finding)];
  if (finding.curve !== null) parts.push(curve(finding));
  parts.push(fix(finding, actions));
  return element("article", { class: "fl-finding" }, ...parts);
}

/** What stands between backticks is code. */
function withCode(text: string): (HTMLElement | string)[] {
  return text.split("`").map((part, i) => (i % 2 === 1 ? element("code", {}, part) : part));
}

function loss({ expression, safe_margin }: Finding): HTMLElement {
  const told = element("p", { class: "fl-expression" }, element("code", {}, expression));
  if (safe_margin === null) return told;
  const margins = Object.entries(safe_margin).map(([dtype, m]) => `${m === null ? "no limit" : m.toFixed(1)} in ${dtype}`);
  told.append(element("br"), `Right up to a margin of ${margins.join(", ")}.`);
  return told;
}

function curve({ curve, safe_margin, expression }: Finding): HTMLElement {
  const { margins, gradient, truth } = curve!;
  const safe = safe_margin?.float32;
  const told = `Size of the gradient at the target in float32 against the margin. That of ${expression} is right up to ${safe ?? "any margin"}.`;
  const lines = [
    { name: "fused, from logits", values: truth, colour: "var(--fl-truth)", dashed: true },
    { name: "this loss", values: gradient, colour: "var(--fl-wrong)" },
  ];
  return element("figure", {}, chart({ margins, lines, label: "gradient", told, height: 180, width: 460 }));
}

function fix(finding: Finding, actions: Actions): HTMLElement {
  if (finding.fix === null || finding.applied === null) {
    return element("p", { class: "fl-unfixed" }, `No fix is offered: ${finding.unfixed ?? "none is known"}.`);
  }
  const unsafe = finding.fix.safe ? "" : ` (unsafe: ${finding.fix.note})`;
  return offer(`Make this fix${unsafe}`, finding.applied, actions);
}

function offer(text: string, changed: Changed, actions: Actions): HTMLElement {
  const lines = changed.diff.map((line) => element("span", { class: lineClass(line) }, `${line}\n`));
  const diff = element("pre", { class: "fl-diff", tabindex: "0", "aria-label": "what the fix changes" }, ...lines);
  return element("div", { class: "fl-fix" }, diff, button(text, () => actions.replace(changed.text)));
}

function lineClass(line: string): string {
  return line.startsWith("+") ? "fl-added" : line.startsWith("-") ? "fl-removed" : "fl-kept";
}
