"""The engine: a work queue, the run of one mesh through the phases, and the one writer of status."""
