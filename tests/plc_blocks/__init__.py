"""The function blocks of deploy/plc, parsed, type-checked and executed."""
