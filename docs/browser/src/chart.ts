// Two lines over the margin: what is computed, and the truth; in the page's colours, with a text beside them.

import * as Plot from "@observablehq/plot";

export interface Line { name: string; values: (number | null)[]; colour: string; dashed?: boolean }
export interface Chart {
  margins: number[];
  lines: Line[];
  label: string;
  /** What the picture shows, in words. */
  told: string;
  height?: number;
  at?: number;
  width?: number;
}

export function chart({ margins, lines, label, told, height = 220, at, width = 640 }: Chart): Element {
  const points = lines.flatMap((line) =>
    line.values.map((value, i) => ({ margin: margins[i], value, name: line.name })),
  );
  const plot = Plot.plot({
    width,
    height,
    style: { background: "transparent", color: "var(--color-foreground-primary)", fontSize: "12px" },
    x: { label: "margin by which the target trails (nats) →", grid: false },
    y: { label, grid: true },
    color: { domain: lines.map((l) => l.name), range: lines.map((l) => l.colour), legend: true },
    marks: [
      Plot.ruleX([0], { stroke: "currentColor", strokeOpacity: 0.3 }),
      ...(at === undefined ? [] : [Plot.ruleX([at], { stroke: "currentColor" })]),
      ...lines.map((line) =>
        Plot.line(
          points.filter((p) => p.name === line.name),
          { x: "margin", y: "value", stroke: "name", strokeWidth: 2, strokeDasharray: line.dashed ? "5,4" : undefined },
        ),
      ),
    ],
  });
  for (const svg of plot.matches("svg") ? [plot] : plot.querySelectorAll(":scope > svg")) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", told);
    for (const part of svg.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label"); // the picture is one
  }
  return plot;
}
