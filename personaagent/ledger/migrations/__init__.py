"""The ledger's schema, version by version; ``ledger.migrate`` runs what is outstanding."""
