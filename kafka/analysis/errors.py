"""The errors of the analysis.

::

    LockstreamError
    ├── UserError
    │   ├── FieldNotAnalysable      a run without the field that was asked for, or without one wavenumber
    │   └── ResultsTopicUnfit       the results topic would lose results
    └── AnalysisNotKept             the analysis file could not be written
"""

from lockstream.bridge.errors import LockstreamError, UserError


class FieldNotAnalysable(UserError, LookupError):
    """A run without the field that was asked for, or one whose axes have no common unit."""


class ResultsTopicUnfit(UserError):
    """The results topic has settings under which results would be lost."""


class AnalysisNotKept(LockstreamError, OSError):
    """The analysis file of a run could not be written."""
