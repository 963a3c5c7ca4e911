"""The page of a scene: what is in the file, and what Chromium makes of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, program
from test_page import NASTY, Reader

from cg3d_runtime.errors import InputError
from cg3d_sdk.page import scene as module
from cg3d_sdk.page import write_scene_page
from cg3d_sdk.results import Ranked
from cg3d_sdk.scene import Region, SceneAnswer

#: Colours of the first two answers in scene.css, and the page's size.
FIRST, SECOND = np.array([232, 89, 12]), np.array([25, 113, 194])
WIDTH, HEIGHT, STAGE = 1000, 640, 620


def cloud() -> tuple[np.ndarray, np.ndarray]:
    """A floor of 6 x 6 m with two boxes on it, far from the origin, and whose each point is."""
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(-3, 3, (20_000, 2)), np.zeros(20_000)])
    parts, owner = [floor], [np.zeros(20_000)]
    for number, (x, y, size) in enumerate([(-1.2, 0.5, 1.0), (1.5, -1.0, 0.7)], 1):
        box = rng.uniform(-0.5, 0.5, (4000, 3))
        side = rng.integers(0, 3, 4000)
        box[np.arange(4000), side] = np.sign(box[np.arange(4000), side]) / 2
        parts.append(box * size + [x, y, size / 2])
        owner.append(np.full(4000, number))
    return np.concatenate(parts) + np.array([500.0, -200.0, 30.0]), np.concatenate(owner).astype(
        int
    )


def answer(
    points: np.ndarray, question: str, *parts: np.ndarray, label: str = "box"
) -> SceneAnswer:
    regions = tuple(
        Region(
            score=0.5 / (i + 1),
            ranking=(Ranked(label, 0.6),),
            points=points[rows],
            centroid=points[rows].mean(0),
            indices=rows,
            way="usual",
        )
        for i, rows in enumerate(parts)
    )
    return SceneAnswer(question, ("box",), regions, bool(parts), 0.05)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two questions: the first names both boxes, the second only the second one."""
    points, owner = cloud()
    one, two = np.flatnonzero(owner == 1), np.flatnonzero(owner == 2)
    path = tmp_path_factory.mktemp("page") / "answer.html"
    grey = np.full((len(points), 3), 140, np.uint8)
    answers = [answer(points, "large", one, two), answer(points, "small", two)]
    write_scene_page(path, points, answers, title="T", colours=grey)
    return path


def rows_of(text: str) -> np.ndarray:
    """What the page's script reads."""
    rows, gap, shift, row = [], 0, 0, -1
    for byte in base64.b64decode(text):
        gap += (byte & 127) << shift
        shift += 7
        if byte < 128:
            row += gap
            rows.append(row)
            gap = shift = 0
    return np.array(rows)


def shown(path: Path) -> tuple[np.ndarray, list[np.ndarray], Reader]:
    """Points in the page's frame, and those of each answer."""
    reader = Reader(path.read_text(encoding="utf-8"))
    raw = np.frombuffer(base64.b64decode(reader.values("data-points")[0]), "<u2")
    low = np.array([float(v) for v in reader.values("data-low")[0].split(",")])
    places = low + raw.reshape(-1, 3) * float(reader.values("data-step")[0])
    return places, [places[rows_of(text)] for text in reader.values("data-rows")], reader


def test_points_and_answers_arrive_whole(page: Path) -> None:
    points, owner = cloud()
    places, answers, reader = shown(page)
    assert len(places) == len(points)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    for number, part in zip((1, 2, 2), answers, strict=True):
        own = points[owner == number] - middle
        turned = own[:, [0, 2, 1]] * [1, 1, -1]
        order = [np.lexsort(np.rint(p / 1e-3).T) for p in (part, turned)]
        np.testing.assert_allclose(part[order[0]].mean(0), turned[order[1]].mean(0), atol=2e-4)
        np.testing.assert_allclose(np.sort(part, 0), np.sort(turned, 0), atol=2e-4)
    x, y, z, *size, _ = map(float, reader.values("data-box")[0].split(","))
    np.testing.assert_allclose([x, y, z], answers[0].mean(0), atol=0.03)
    np.testing.assert_allclose(sorted(size), [1, 1, 1], atol=0.01)
    assert page.stat().st_size < 600_000


def test_a_million_points_are_kept_and_answers_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 5000)
    points, owner = cloud()
    spoiled = np.insert(points, [0, 9000], np.nan, axis=0)
    rows = np.flatnonzero(np.isfinite(spoiled).all(axis=1))[np.flatnonzero(owner == 2)]
    write_scene_page(tmp_path / "p.html", spoiled, [answer(spoiled, "q", rows)], title="T")
    places, answers, reader = shown(tmp_path / "p.html")
    assert len(places) == 5000
    assert len(answers[0]) == len(rows) == 4000
    assert "28,000 points, 5,000 of them shown" in " ".join(reader.text)
    # In no order: the first quarter of the points has a quarter of the answer.
    assert 800 < (rows_of(reader.values("data-rows")[0]) < 1250).sum() < 1200


def test_names_are_never_html(tmp_path: Path, page: Path) -> None:
    points, owner = cloud()
    nasty = answer(points, NASTY, np.flatnonzero(owner == 1), label=NASTY)
    write_scene_page(tmp_path / "n.html", points, [nasty], title=NASTY)
    text = Reader((tmp_path / "n.html").read_text(encoding="utf-8"))
    assert text.raw == Reader(page.read_text(encoding="utf-8")).raw
    assert not {"img", "b"} & set(text.tags)
    assert not [name for _, name, _ in text.attributes if name.startswith("on")]
    # Title and heading, option, heading of the answer, what it looks like.
    assert "".join(text.text).count(NASTY) == 5


def test_faults_are_told(tmp_path: Path) -> None:
    points, _ = cloud()
    with pytest.raises(InputError, match="at least one answer"):
        write_scene_page(tmp_path / "p.html", points, [], title="T")
    with pytest.raises(InputError, match="8"):
        write_scene_page(tmp_path / "p.html", points[:3], [answer(points, "q")], title="T")
    with pytest.raises(InputError, match=r"colours must be \(28000, 3\) uint8"):
        write_scene_page(
            tmp_path / "p.html", points, [answer(points, "q")], title="T", colours=points
        )
    assert not list(tmp_path.iterdir())


def test_a_ceiling_is_cut_away(tmp_path: Path) -> None:
    points, _ = cloud()
    roof = points[:20_000] + np.array([0, 0, 2.5])
    for cloud_, expected in ((points, 1.01), (np.concatenate([points, roof]), 2.4)):
        write_scene_page(tmp_path / "p.html", cloud_, [answer(cloud_, "q")], title="T")
        _, _, reader = shown(tmp_path / "p.html")
        values = [v for tag, name, v in reader.attributes if (tag, name) == ("input", "value")]
        low = [v for tag, name, v in reader.attributes if (tag, name) == ("input", "min")]
        assert float(values[0]) - float(low[0]) == pytest.approx(expected, abs=0.15)


needs_browser = pytest.mark.skipif(program() is None, reason="needs Chromium on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    pytest.importorskip("PIL", reason="reads the pictures of the browser")
    with Browser(WIDTH, HEIGHT) as opened:
        yield opened


@pytest.fixture(scope="module")
def without_gpu() -> Iterator[Browser]:
    pytest.importorskip("PIL", reason="reads the pictures of the browser")
    with Browser(WIDTH, HEIGHT, gl=False) as opened:
        yield opened


def opened(browser: Browser, page: Path, hash_: str = "") -> Browser:
    browser.call("Page.navigate", url="about:blank")
    browser.requests.clear()
    browser.refused.clear()
    browser.open(page, hash_)
    browser.until("document.getElementById('scene').dataset.frames > 0")
    return browser


def settled(browser: Browser) -> np.ndarray:
    """A screenshot once what was asked for is drawn."""
    browser.run("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    return browser.screenshot()[:, :STAGE]


def of_colour(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(k, 2) places x, y of pixels of a hue, whatever the light."""
    unit = colour / np.linalg.norm(colour)
    bright = np.linalg.norm(picture.astype(float), axis=2)
    near = (picture @ unit) > 0.99 * np.maximum(bright, 1)
    return np.argwhere(near & (bright > 90))[:, ::-1]


@needs_browser
@pytest.mark.parametrize("kind", ["browser", "without_gpu"])
def test_answers_have_their_colours(kind: str, page: Path, request: pytest.FixtureRequest) -> None:
    tab = opened(request.getfixturevalue(kind), page)
    drawn = tab.run("document.getElementById('scene').dataset.drawn")
    assert drawn == {"browser": "webgl", "without_gpu": "software"}[kind]
    tab.run("document.getElementById('boxed').click()")  # no lines over the points
    picture = settled(tab)
    one, two = of_colour(picture, FIRST), of_colour(picture, SECOND)
    assert len(one) > len(two) > 300
    # The view is from the front, turned a little: the first box stands left of the second.
    assert one[:, 0].mean() < two[:, 0].mean() - 80
    tab.run("document.getElementById('question').value = '1'")
    tab.run("document.getElementById('question').dispatchEvent(new Event('change'))")
    again = settled(tab)
    moved = of_colour(again, FIRST)
    assert len(of_colour(again, SECOND)) == 0
    np.testing.assert_allclose(moved.mean(0), two.mean(0), atol=6)
    assert tab.run("document.querySelector('section:not([hidden]) h2').textContent") == "small"
    tab.run("document.getElementById('boxed').click()")
    # Lines are not shaded: they have the very colour.
    before, after = ((shot == FIRST).all(axis=2).sum() for shot in (again, settled(tab)))
    assert after > before + 300
    assert tab.refused == []


@needs_browser
def test_mouse_keys_and_fingers(browser: Browser, page: Path) -> None:
    tab = opened(browser, page, "#2")
    assert tab.run("document.getElementById('question').value") == "1"
    tab.run("document.getElementById('boxed').click()")
    before = of_colour(settled(tab), FIRST)
    tab.run("document.getElementById('scene').focus()")
    tab.key("ArrowRight")
    turned = of_colour(settled(tab), FIRST)
    assert np.abs(turned.mean(0) - before.mean(0)).max() > 5
    tab.key("0")
    np.testing.assert_allclose(of_colour(settled(tab), FIRST).mean(0), before.mean(0), atol=1)
    tab.drag((100, 100), (160, 100), "right")
    pushed = of_colour(settled(tab), FIRST)
    np.testing.assert_allclose(pushed.mean(0) - before.mean(0), [60, 0], atol=12)
    tab.key("0")
    tab.drag((100, 100), (160, 100))
    assert np.abs(of_colour(settled(tab), FIRST).mean(0) - before.mean(0)).max() > 5
    tab.key("0")
    tab.wheel((300, 300), -400)
    assert len(of_colour(settled(tab), FIRST)) > 1.5 * len(before)
    tab.key("0")
    tab.pinch((300, 300), (60, 120))
    assert len(of_colour(settled(tab), FIRST)) > 1.5 * len(before)
    tab.run("document.querySelector('section:not([hidden]) li button').click()")
    near = of_colour(settled(tab), FIRST)
    assert len(near) > 4 * len(before)
    np.testing.assert_allclose(near.mean(0), [STAGE / 2, HEIGHT / 2], atol=25)
    assert tab.refused == []


@needs_browser
def test_light_and_dark(browser: Browser, page: Path) -> None:
    tab = opened(browser, page)
    corners = []
    for dark in (True, False):
        tab.dark(dark)
        picture = settled(tab)
        assert len(of_colour(picture, FIRST)) > 300
        corners.append(int(picture[5, 5].mean()))
    assert corners[0] < 60
    assert corners[1] > 200


@needs_browser
def test_no_request_leaves_the_page(browser: Browser, page: Path, tmp_path: Path) -> None:
    tab = opened(browser, page)
    settled(tab)
    assert tab.requests == [page.as_uri()]
    assert tab.refused == []
    # What a hostile name could want is refused, and it would be seen.
    probe = "const i = new Image(); i.src = 'http://127.0.0.1:9/x'; fetch('http://127.0.0.1:9/y')"
    tab.run(f"(() => {{ {probe}.catch(() => 0) }})()")
    settled(tab)
    assert len(tab.refused) >= 2
    assert all("Content Security Policy" in text for text in tab.refused)
    bare = tmp_path / "bare.html"
    bare.write_text("<!doctype html><img src='http://127.0.0.1:9/x'>")
    tab.open(bare)
    assert tab.requests[-1] == "http://127.0.0.1:9/x"
