"""Helm: its CLI as a child process, its release storage, and what chart repositories list."""
