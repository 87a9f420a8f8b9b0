"""The profilers that `lockstream profile` knows, found when they are asked for."""

from importlib import import_module

from lockstream.profiling.tools.tool import Tool

TOOLS = {
    "scalene": "lines: Python, native and memory; samples",
    "cprofile": "functions and their calls; traces every call",
    "line": "lines of chosen modules; traces every line",
    "pyinstrument": "the tree of calls; samples",
    "timers": "phases that the program marks itself; exact",
    "perf": "symbols, compiled code and child processes included; samples",
}


def load_tool(name: str) -> Tool:
    """Return a tool of `TOOLS`."""
    tool: Tool = import_module(f"lockstream.profiling.tools.{name}").TOOL
    return tool
