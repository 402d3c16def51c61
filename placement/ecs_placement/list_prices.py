"""What an hour of an instance costs when nobody says: rounded on-demand prices of Linux in
us-east-1 (AWS price list, 2025). They rank instances and policies; they do not predict a bill.
"""

# US dollars an hour of a family's size with two vCPUs; larger sizes cost in proportion.
_PER_TWO_VCPUS = {
    "m5": 0.096, "m5a": 0.086, "m6i": 0.096, "m6a": 0.0864, "m6g": 0.077, "m7g": 0.0816,
    "m7i": 0.1008, "c5": 0.085, "c5a": 0.077, "c6i": 0.085, "c6a": 0.0765, "c6g": 0.068,
    "c7g": 0.0725, "c7i": 0.08925, "r5": 0.126, "r5a": 0.113, "r6i": 0.126, "r6g": 0.1008,
    "r7g": 0.1071, "r7i": 0.1323,
}  # fmt: skip
_WITH_GPUS = {
    "g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204, "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912, "g4dn.16xlarge": 4.352, "g5.xlarge": 1.006, "g5.2xlarge": 1.212,
    "g5.4xlarge": 1.624, "g5.8xlarge": 2.448, "g5.12xlarge": 5.672, "g5.16xlarge": 4.096,
    "g5.24xlarge": 8.144, "g5.48xlarge": 16.288, "p3.2xlarge": 3.06, "p3.8xlarge": 12.24,
    "p3.16xlarge": 24.48, "p4d.24xlarge": 32.77,
}  # fmt: skip

PER_VCPU, PER_GIB, PER_GPU = 0.0332, 0.0037, 0.45
"""For a type in no table: dollars an hour by what it has (a vCPU and a GiB as in the m5 family,
which they give 0.096 for two vCPUs and 8 GiB)."""


Rates = tuple[float, float, float, float]
"""US dollars an hour for the instance as such, a CPU unit, a MiB and a GPU of it."""


def rates_of(instance_type: str) -> Rates:
    """What an instance of this type, or of one that nobody knows, is charged by."""
    if instance_type in _WITH_GPUS:
        return _WITH_GPUS[instance_type], 0.0, 0.0, 0.0
    family = instance_type.partition(".")[0]
    if family in _PER_TWO_VCPUS:
        return 0.0, _PER_TWO_VCPUS[family] / 2048, 0.0, 0.0
    return 0.0, PER_VCPU / 1024, PER_GIB / 1024, PER_GPU


def list_price(instance_type: str, cpu_units: int, memory_mib: int, gpus: int) -> float:
    """US dollars an hour of an instance of this type and capacity."""
    whole, per_unit, per_mib, per_gpu = rates_of(instance_type)
    return whole + per_unit * cpu_units + per_mib * memory_mib + per_gpu * gpus
