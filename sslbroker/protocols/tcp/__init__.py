"""Any stream of bytes, as a backend protocol."""
