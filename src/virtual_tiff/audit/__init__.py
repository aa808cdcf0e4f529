"""What a repository holds, and whether it is still true."""
