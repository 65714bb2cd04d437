"""The language server: findings, fixes and what is known of a value, in the editor, of text that isn't saved yet.

Protocol: https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/
"""
