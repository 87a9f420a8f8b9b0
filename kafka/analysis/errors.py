"""The errors of the analysis.

::

    LockstreamError
    └── UserError
        ├── FieldNotAnalysable      a run without the field that was asked for, or with axes in several units
        └── ResultsTopicUnfit       the results topic would lose results
"""

from lockstream.bridge.errors import UserError


class FieldNotAnalysable(UserError, LookupError):
    """A run without the field that was asked for, or one whose axes have no common unit."""


class ResultsTopicUnfit(UserError):
    """The results topic has settings under which results would be lost."""
