"""The version of the project: one place, which imports nothing and so may be imported from anywhere."""

__version__ = "0.1.0.dev0"
