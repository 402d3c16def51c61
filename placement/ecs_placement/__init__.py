"""Where it runs: the functional core. numpy in, a Plan out; no I/O, no clock."""
