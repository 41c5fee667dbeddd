"""What `edgeresnet demo` needs without any download."""
