"""The protocols the broker speaks: codecs without I/O, and the rules of their messages."""
