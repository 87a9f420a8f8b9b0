"""The loose side: an embedded broker, step assembly, the archive and live analysis."""
