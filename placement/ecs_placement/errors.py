"""What can be wrong with the input; messages name the argument, what was wrong and what to give.

PlacementError
├── InvalidSnapshot    an instance or the cluster as a whole
├── InvalidRequest     a request or its shape
├── InvalidPolicy      a policy's weights or limits
├── InvalidArray       an argument of the array-level `pack`
└── QueryError         an expression of the cluster query language
"""


class PlacementError(ValueError):
    """The root: bad input to placement, never a matter of capacity."""


class InvalidSnapshot(PlacementError):
    """The description of an instance, or of the cluster, contradicts itself."""


class InvalidRequest(PlacementError):
    """A request cannot mean anything (negative demand, an id given twice, a port out of range)."""


class InvalidPolicy(PlacementError):
    """A policy has a value outside its documented range."""


class InvalidArray(PlacementError):
    """An array given to `pack` has a wrong shape, type or value."""


class QueryError(PlacementError):
    """An expression of the cluster query language cannot be read, or asks what has no answer."""
