"""Complete chunks that cannot be referenced: pad short strips, or copy images."""
