// The program: CodeMirror with Python, the findings underlined, in the page's own colours.

import { python } from "@codemirror/lang-python";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { EditorState, type Text } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { basicSetup } from "codemirror";

import type { Finding, Place } from "./protocol";

const SEVERITY = { error: "error", warning: "warning", advice: "info" } as const;

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--fl-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--fl-string)" },
  { tag: tags.comment, color: "var(--fl-comment)", fontStyle: "italic" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--fl-number)" },
  { tag: [tags.function(tags.definition(tags.variableName)), tags.className], color: "var(--fl-name)" },
]);

const look = EditorView.theme({
  "&": { color: "var(--color-foreground-primary)", backgroundColor: "var(--color-background-secondary)" },
  ".cm-content": { caretColor: "var(--color-foreground-primary)", fontFamily: "var(--font-stack--monospace)" },
  ".cm-gutters": {
    color: "var(--color-foreground-secondary)",
    backgroundColor: "var(--color-background-secondary)",
    borderRight: "1px solid var(--color-background-border)",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--color-background-hover)" },
  "&.cm-focused": { outline: "2px solid var(--color-brand-primary)" },
  ".cm-tooltip": { color: "var(--color-foreground-primary)", backgroundColor: "var(--color-background-primary)" },
});

export class Editor {
  private readonly view: EditorView;

  constructor(parent: HTMLElement, changed: () => void) {
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        extensions: [
          basicSetup,
          python(),
          syntaxHighlighting(colours),
          lintGutter(),
          look,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": "Your program" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) changed();
          }),
        ],
      }),
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  set text(text: string) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  underline(findings: Finding[]): void {
    const doc = this.view.state.doc;
    const shown = findings.map((f): Diagnostic => ({
      ...range(doc, f),
      severity: SEVERITY[f.severity],
      source: f.rule,
      message: `${f.rule} ${f.message}`,
    }));
    this.view.dispatch(setDiagnostics(this.view.state, shown));
  }

  /** Put the cursor there, in sight. */
  show(place: Place): void {
    const { from, to } = range(this.view.state.doc, place);
    this.view.dispatch({ selection: { anchor: from, head: to }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    this.view.focus();
  }
}

/** Lines and columns count from 1, columns in characters; CodeMirror counts UTF-16 units from the beginning. */
function range(doc: Text, place: Place): { from: number; to: number } {
  const from = offset(doc, place.line, place.column);
  return { from, to: Math.max(from, offset(doc, place.end_line, place.end_column)) };
}

function offset(doc: Text, number: number, column: number): number {
  const line = doc.line(Math.min(Math.max(number, 1), doc.lines));
  return line.from + [...line.text].slice(0, column - 1).join("").length;
}
