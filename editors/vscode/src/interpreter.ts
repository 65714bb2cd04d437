// Which Python to start the server with.

import type { Uri } from "vscode";

/** The part of the Python extension's API that is used (https://github.com/microsoft/vscode-python/wiki/Python-Environment-APIs). */
export interface PythonApi {
  environments?: { getActiveEnvironmentPath(resource?: Uri): { path: string } };
}

/** The one that the settings name, else the one that the Python extension has chosen, else what is on the path. */
export function chosen(setting: string, python: PythonApi | undefined, folder: Uri | undefined): string {
  return setting || python?.environments?.getActiveEnvironmentPath(folder).path || "python3";
}
