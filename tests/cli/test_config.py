"""Settings: where they come from, which place wins, and what is said about bad ones."""

from pathlib import Path
from typing import Any

import pytest

from ecs_placement.policy import DEFAULT_POLICY
from ecs_scheduler.config import Config, Settings, without_password
from ecs_scheduler.config_sources import load_config, unknown_variables
from ecs_scheduler.errors import ConfigurationError


def load(
    directory: Path, *, flags: dict[str, Any] | None = None, toml: str = "", **environ: str
) -> Config:
    (directory / "ecs-scheduler.toml").write_text(toml)
    return load_config(flags or {}, environ, directory=directory)


def complaint(directory: Path, **places: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, **places)
    return str(caught.value)


def test_the_default_needs_nothing_from_outside() -> None:
    """Config() in code is the documented default, whatever the environment holds."""
    config = Config()
    assert (config.redis_url, config.http_host) == ("redis://127.0.0.1:6379", "127.0.0.1")
    assert config.policy.to_policy() == DEFAULT_POLICY


def test_every_field_is_explained() -> None:
    """Each setting says what it is for; the text is also the flag's help."""
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_flags_come_before_environment_before_toml(tmp_path: Path) -> None:
    """Each place fills only what the places before it left open."""
    config = load(
        tmp_path,
        flags={"window": 1},
        ECS_SCHEDULER_WINDOW="2",
        ECS_SCHEDULER_LEASE_S="22",
        toml='window = 3\nlease_s = 33\nqueue = "toml"',
    )
    assert (config.window, config.lease_s, config.queue) == (1, 22, "toml")
    assert config.cluster == "default"


def test_tables_are_merged_member_by_member(tmp_path: Path) -> None:
    """One weight by flag, one by variable, one by TOML: all three hold."""
    config = load(
        tmp_path,
        flags={"policy": {"w_cpu": 2.0}},
        ECS_SCHEDULER_POLICY__W_GPU="5",
        toml="[policy]\nw_cpu = 9\nw_memory = 3",
    )
    assert config.policy.weights == (2, 3, 5, 0.25)


def test_conventional_variables_stand_in_for_ours(tmp_path: Path) -> None:
    """REDIS_URL, ECS_CLUSTER and AWS_REGION hold unless our own variable does."""
    foreign: dict[str, Any] = {
        "REDIS_URL": "redis://elsewhere",
        "ECS_CLUSTER": "theirs",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    config = load(tmp_path, **foreign)
    assert (config.redis_url, config.cluster, config.region) == tuple(foreign.values())
    ours = load(tmp_path, **foreign, ECS_SCHEDULER_CLUSTER="ours", AWS_REGION="eu-west-2")
    assert (ours.cluster, ours.region) == ("ours", "eu-west-2")


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    """Compose files pass empty values for what nobody set."""
    assert load(tmp_path, ECS_SCHEDULER_WINDOW="", REDIS_URL="") == Config()


def test_the_http_side_can_be_turned_off_anywhere(tmp_path: Path) -> None:
    """TOML and the environment have no null, so "off" stands for it."""
    assert load(tmp_path, ECS_SCHEDULER_HTTP_PORT="off").http_port is None
    assert load(tmp_path, toml='http_port = "off"').http_port is None


def test_a_fallback_can_be_spelt_in_pieces(tmp_path: Path) -> None:
    """As nested variables, or as ECS's own JSON."""
    pieces = load(
        tmp_path,
        ECS_SCHEDULER_FALLBACK__AFTER_S="60",
        ECS_SCHEDULER_FALLBACK__LAUNCH_TYPE="FARGATE",
    ).fallback
    assert pieces is not None
    assert (pieces.after_s, pieces.launch_type) == (60, "FARGATE")
    strategy = '{"after_s": 1, "capacity_provider_strategy": [{"capacityProvider": "spot"}]}'
    whole = load(tmp_path, ECS_SCHEDULER_FALLBACK=strategy).fallback
    assert whole is not None
    assert whole.capacity_provider_strategy[0].capacity_provider == "spot"


def test_another_file_can_be_named(tmp_path: Path) -> None:
    """--config and ECS_SCHEDULER_CONFIG name it; then the one of this directory is not read."""
    other = tmp_path / "other.toml"
    other.write_text("window = 5")
    (tmp_path / "ecs-scheduler.toml").write_text("window = 6\nlease_s = 60")
    assert load_config({}, {}, directory=tmp_path, file=other) == Config(window=5)
    environ = {"ECS_SCHEDULER_CONFIG": str(other)}
    assert load_config({}, environ, directory=tmp_path) == Config(window=5)


def test_the_region_may_lie_in_the_clusters_arn() -> None:
    """A cluster's ARN says where it is, and a contradiction is an error."""
    arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/batch"
    config = Config(cluster=arn)
    assert (config.aws_region, config.cluster_name) == ("eu-west-1", "batch")
    with pytest.raises(ValueError, match="is us-east-1, but the cluster's ARN lies in eu-west-1"):
        Config(cluster=arn, region="us-east-1")


RELATIONS = {
    "settle_after_s": ({"settle_after_s": "18"}, "should exceed ecs_connect_timeout_s + ecs_read"),
    "certain_after_s": ({"certain_after_s": "19"}, "should be at least settle_after_s = 20"),
    "lease_s": ({"lease_s": "0.5"}, "should be at least 3 * pass_interval_s = 0.6"),
    "unplaceable_after_s": ({"unplaceable_after_s": "9"}, "should be at least sweep_interval_s"),
    "policy": (
        {f"policy__w_{each}": "0" for each in ("cpu", "memory", "gpu", "eni")},
        "should weigh at least one dimension",
    ),
    "fallback": (
        {
            "fallback": '{"after_s": 1, "capacity_provider_strategy": [{"capacityProvider": "a"}], '
            '"launch_type": "EC2"}'
        },
        "capacity_provider_strategy or launch_type, not both",
    ),
}


@pytest.mark.parametrize("field", RELATIONS)
def test_relations_between_settings_are_checked(tmp_path: Path, field: str) -> None:
    """The message names the field, the variable it came from, and what it has to fit."""
    given, expected = RELATIONS[field]
    variables = {f"ECS_SCHEDULER_{name.upper()}": value for name, value in given.items()}
    message = complaint(tmp_path, **variables)
    assert message.startswith(f"{field} (ECS_SCHEDULER_{next(iter(given)).upper()}): ")
    assert expected in message


def test_a_relation_with_a_default_says_so(tmp_path: Path) -> None:
    """If the field to change was left at its default, that is said."""
    message = complaint(tmp_path, ECS_SCHEDULER_PASS_INTERVAL_S="20")
    assert message.startswith("lease_s (by default): should be at least 3 * pass_interval_s = 60")


def test_every_bad_setting_is_reported_with_its_place(tmp_path: Path) -> None:
    """All at once: flag, variable, file; with what was expected and what is there."""
    message = complaint(
        tmp_path,
        flags={"window": 0},
        ECS_SCHEDULER_READ_BURST="many",
        ECS_CLUSTER="my cluster",
        ECS_SCHEDULER_POLICY__W_FOO="1",
        toml='lease = 3\nhttp_host = ""\n[fallback]\nlaunch_type = "SPOT"',
    )
    file = tmp_path / "ecs-scheduler.toml"
    lines = set(message.splitlines())
    assert lines == {
        "window (--window): should be greater than or equal to 1; it is 0",
        "read_burst (ECS_SCHEDULER_READ_BURST): should be a valid integer, "
        "unable to parse string as an integer; it is 'many'",
        "cluster (ECS_CLUSTER): should look like 'batch' or "
        "'arn:aws:ecs:eu-west-1:123456789012:cluster/batch'; it is 'my cluster'",
        "policy.w_foo (ECS_SCHEDULER_POLICY__W_FOO): is not a setting",
        f"lease (in {file}): is not a setting; did you mean lease_s?",
        f"http_host (in {file}): String should have at least 1 character; it is ''",
        f"fallback.after_s (in {file}): is missing",
        f"fallback.launch_type (in {file}): should be 'EC2', 'FARGATE' or 'EXTERNAL'; it is 'SPOT'",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"window = ", "is not TOML: "), (b"\xff\xfe", "cannot be read: ")],
)
def test_an_unreadable_file_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    """A file that is not TOML is said to be so, with line and column."""
    file = tmp_path / "ecs-scheduler.toml"
    file.write_bytes(text)
    with pytest.raises(ConfigurationError, match=f"{file}: {message}"):
        load_config({}, {}, directory=tmp_path)


def test_near_misses_among_variables_are_warned_about() -> None:
    """A misspelt variable is noticed; those that Kubernetes sets for a Service are not."""
    environ = {
        "ECS_SCHEDULER_CLUSTR": "x",
        "ECS_SCHEDULER_PORT": "tcp://10.0.0.1:80",
        "ECS_SCHEDULER_SERVICE_HOST": "10.0.0.1",
        "ECS_SCHEDULER_POLICY__W_CPU": "1",
    }
    assert unknown_variables(environ) == [
        "ECS_SCHEDULER_CLUSTR is not a setting; did you mean ECS_SCHEDULER_CLUSTER?"
    ]


def test_passwords_never_reach_messages(tmp_path: Path) -> None:
    """Neither representation nor complaint shows what REDIS_URL carries."""
    assert "hunter2" not in repr(Config(redis_url="redis://me:hunter2@host"))
    assert "hunter2" not in complaint(tmp_path, REDIS_URL="http://me:hunter2@host")
    for url in (
        "redis://:hunter2@host:1/0",
        "rediss://me:hu@nter2@host",
        "unix:///a?password=hunter2",
    ):
        assert "nter2" not in without_password(url)
