"""What `lockstream doctor` looks at, place by place; each check says what it found and how to cure it."""
