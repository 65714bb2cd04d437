"""A file a framework: ``around(ledger)``, inside which what the framework trains is written into the ledger."""
