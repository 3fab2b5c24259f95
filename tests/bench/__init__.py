"""Tests of what the bench reads, counts and shows; nothing here measures time."""
