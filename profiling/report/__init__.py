"""What `lockstream profile` writes for people."""
