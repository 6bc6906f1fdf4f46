"""Pure decisions: no I/O, neither kopf nor kubernetes."""
