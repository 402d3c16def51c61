"""What jobs wait for, in a word, where no single resource or constraint is it: the `kind` of a job
in the window, and a label of the metrics.
"""

NO_INSTANCES = "NO INSTANCES"
UNPLACEABLE = "UNPLACEABLE"
API_BUDGET = "API BUDGET"
SHARE = "SHARE"
WINDOW = "WINDOW"
GROUPS = "GROUPS"
GANG = "GANG"

NOT_FOR_ROOM = ("", API_BUDGET, SHARE, WINDOW, GROUPS)
"""Jobs of these kinds have room, or must not run now wherever there is some."""
