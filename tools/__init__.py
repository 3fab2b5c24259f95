"""What runs the project's own checks; nothing here is installed with `sslbroker`."""
