// Starts `finallayer server` with the interpreter of the project, and connects it to the editor.

import { commands, extensions, Uri, window, workspace, type ExtensionContext } from "vscode";
import { LanguageClient, type LanguageClientOptions, type ServerOptions } from "vscode-languageclient/node";
import { chosen, type PythonApi } from "./interpreter";

let client: LanguageClient | undefined;

export async function activate(context: ExtensionContext): Promise<void> {
  context.subscriptions.push(
    commands.registerCommand("finallayer.restart", restart),
    workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("finallayer")) void restart();
    }),
  );
  await restart();
}

export async function deactivate(): Promise<void> {
  await client?.stop();
}

async function restart(): Promise<void> {
  await client?.stop();
  const settings = workspace.getConfiguration("finallayer");
  const python = await pythonExtension();
  const folder: Uri | undefined = workspace.workspaceFolders?.[0]?.uri;
  const command = chosen(settings.get<string>("interpreter", ""), python, folder);
  const server: ServerOptions = { command, args: ["-P", "-m", "finallayer", "server"] };
  const options: LanguageClientOptions = {
    documentSelector: [{ language: "python", scheme: "file" }],
    initializationOptions: { inlayHints: settings.get<boolean>("inlayHints", false) },
    synchronize: { fileEvents: workspace.createFileSystemWatcher("**/{*.py,pyproject.toml}") },
  };
  client = new LanguageClient("finallayer", "finallayer", server, options);
  try {
    await client.start();
  } catch (error) {
    void window.showErrorMessage(
      `finallayer could not be started with ${command}: ${String(error)}. Is it installed there? pip install 'finallayer[lsp]'`,
    );
  }
}

async function pythonExtension(): Promise<PythonApi | undefined> {
  const extension = extensions.getExtension<PythonApi>("ms-python.python");
  if (extension === undefined) return undefined;
  return extension.isActive ? extension.exports : extension.activate();
}
