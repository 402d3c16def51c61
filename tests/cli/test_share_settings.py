"""Shares, families and the fair-share policy from a TOML file."""

import re
from pathlib import Path

import pytest

from ecs_scheduler.config_sources import load_config
from ecs_scheduler.errors import ConfigurationError

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_is_a_configuration(tmp_path: Path) -> None:
    """As it stands there, and it means what it says."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "ecs-scheduler.toml"
    file.write_text(example)
    config = load_config({}, {}, directory=tmp_path)
    rules = config.fair_share.rules(config.shares, config.families)
    names = ("team-a", "batch-7", "prod-1", "else")
    assert [rules.of(name).weight for name in names] == [3, 0.5, 8, 1]
    assert rules.of("team-a").max_running == 200
    assert (rules.families, rules.reservation) == ({"licensed": 5}, 0.25)
    assert config.fair_share.share_decay_seconds == 3600


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("[shares.a]\nweight = 0", "shares.a.weight"),
        (
            "[shares.a]\nwieght = 1",
            "shares.a.wieght: is not a setting; did you mean weight?",
        ),
        (
            '[shares."a b"]\nweight = 1',
            "shares: 'a b' should be the name of a share",
        ),
        ('[shares."a*b"]\nweight = 1', "shares: 'a*b' should"),
        (
            "[fair_share]\nshareDistribution = [{shareIdentifier = 'a*b'}]",
            "shareIdentifier: 'a*b' should be the name of a share: up to 255",
        ),
        ("[families.f]\nmax_running = -1", "families.f.max_running"),
        ("[fair_share]\ncomputeReservation = 100", "fair_share.computeReservation"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, line: str, complaint: str) -> None:
    """With the place of the setting."""
    (tmp_path / "ecs-scheduler.toml").write_text(line)
    with pytest.raises(ConfigurationError) as caught:
        load_config({}, {}, directory=tmp_path)
    assert complaint in str(caught.value).replace(f" (in {tmp_path}/ecs-scheduler.toml)", "")
