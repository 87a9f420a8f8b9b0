"""Results as people read them: a page with plots, Markdown, tables for the documentation."""
