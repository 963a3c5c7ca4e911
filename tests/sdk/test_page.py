"""The page: everything in one file, nothing of a name taken for HTML, points as they were."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cg3d_runtime.errors import InputError
from cg3d_sdk.page import PageEntry, write_page
from cg3d_sdk.results import Ranked

NASTY = '</script><img src=x onerror="alert(1)">&amp;%%script%%\'"<b>'


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open = tag
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.open in self.raw:
            self.raw[self.open].append(data)
            self.open = ""
        else:
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def entry(name: str = "a mug", n: int = 50, **changes: object) -> PageEntry:
    points = np.random.default_rng(0).normal(size=(n, 3))
    ranking = (Ranked("mug", 0.625), Ranked("bowl", 0.25))
    return PageEntry(**{"name": name, "points": points, "ranking": ranking, **changes})  # type: ignore[arg-type]


def written(tmp_path: Path, *entries: PageEntry, title: str = "T", lead: str = "L") -> Reader:
    write_page(tmp_path / "page.html", entries, title=title, lead=lead)
    return Reader((tmp_path / "page.html").read_text(encoding="utf-8"))


def decoded(page: Reader) -> list[np.ndarray]:
    """What the viewer decodes: it reads two bytes, the lower first, over -1 to 1."""
    clouds = []
    for text in page.values("data-points"):
        data = np.frombuffer(base64.b64decode(text), np.uint8).astype(int).reshape(-1, 2)
        clouds.append(((data[:, 0] | data[:, 1] << 8) / 32767.5 - 1).reshape(-1, 3))
    return clouds


def test_a_card_shows_the_name_the_answer_and_the_scores(tmp_path: Path) -> None:
    page = written(tmp_path, entry("scan 7", truth="bowl"), entry("other"))
    text = " ".join(" ".join(page.text).split())
    assert "scan 7" in text
    assert "62.5 %" in text
    assert "25.0 %" in text
    assert page.tags.count("canvas") == page.tags.count("article") == 2
    assert page.tags.count("progress") == 4
    assert page.values("value") == ["0.6250", "0.2500"] * 2
    assert page.values("class").count("truth") == 1
    assert page.values("class").count("card miss") == 1
    assert page.values("class").count("card") == 1  # nothing known, nothing claimed


def test_points_arrive_centred_upright_and_whole(tmp_path: Path) -> None:
    points = np.array([[0.0, 0, 0], [2, 0, 0], [0, 4, 0], [0, 0, 6], [np.nan, 0, 0]]) + 100
    z_up, y_up = decoded(written(tmp_path, entry(points=points), entry(points=points, up="y")))
    middle = (points[:4].min(axis=0) + points[:4].max(axis=0)) / 2
    centred = (points[:4] - middle) / np.linalg.norm(points[:4] - middle, axis=1).max()
    np.testing.assert_allclose(y_up, centred, atol=2e-5)
    # z up becomes y up by a turn, so that nothing is mirrored.
    np.testing.assert_allclose(z_up, centred[:, [0, 2, 1]] * [1, 1, -1], atol=2e-5)


def test_large_clouds_are_thinned_and_the_page_stays_small(tmp_path: Path) -> None:
    page = written(tmp_path, *(entry(n=60_000) for _ in range(14)))
    assert [len(cloud) for cloud in decoded(page)] == [4096] * 14
    assert "60,000 points" in " ".join(page.text)
    assert (tmp_path / "page.html").stat().st_size < 1_000_000


def test_names_are_never_html(tmp_path: Path) -> None:
    plain = written(tmp_path, entry())
    nasty = written(
        tmp_path,
        entry(NASTY, ranking=(Ranked(NASTY, 0.6), Ranked("bowl", 0.2)), truth=NASTY),
        title=NASTY,
        lead=NASTY,
    )
    assert sorted(set(nasty.tags) - {"span"}) == sorted(set(plain.tags) - {"span"})
    assert nasty.raw == plain.raw
    assert not [name for _, name, _ in nasty.attributes if name.startswith("on")]
    assert "".join(nasty.text).count(NASTY) == 6


def test_nothing_is_fetched_and_only_our_script_may_run(tmp_path: Path) -> None:
    page = written(tmp_path, entry())
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?:|//[a-z]+\.|@import|url\(", text)
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert not page.values("src")
    assert page.tags.count("script") == page.tags.count("style") == 1
    policy = next(value for value in page.values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind][0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "style" not in [name for _, name, _ in page.attributes]  # the policy would forbid it


def test_it_can_be_used_without_a_mouse(tmp_path: Path) -> None:
    page = written(tmp_path, entry("a mug"))
    canvas = {name: value for tag, name, value in page.attributes if tag == "canvas"}
    assert canvas["tabindex"] == "0"
    assert canvas["role"] == "img"
    assert "a mug" in canvas["aria-label"]
    assert ("html", "lang", "en") in page.attributes
    assert "prefers-reduced-motion" in page.raw["script"][0]
    assert "prefers-color-scheme" in page.raw["style"][0]


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(InputError, match="bad: there is no finite point"):
        write_page(path, [entry("bad", points=np.full((3, 3), np.nan))], title="T")
    assert path.read_text() == "old"
    with pytest.raises(InputError, match="cannot be written"):
        write_page(tmp_path / "none" / "page.html", [entry()], title="T")
    write_page(path, [entry()], title="T")
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    page = written(tmp_path, entry(name, ranking=(Ranked(name, 1.0),), truth=name))
    assert page.tags.count("article") == 1
    assert page.tags.count("canvas") == 1
