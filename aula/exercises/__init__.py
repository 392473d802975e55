"""Exercises: what a check asks for, runs, judges and remembers."""
