"""The documentation builds without warnings and without a network, and says what is true."""

import re
import tomllib
from pathlib import Path

import pytest

import workbench as wb
from workbench import figures
from workbench.cli import VERBS, main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / ".ci/mkdocs.yml"), site_dir=str(folder)))  # strict: warnings fail
    return folder


@pytest.mark.slow
def test_site_has_every_page_and_drawing(site):
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    for made in ("reference/commands.html", "reference/recipe.html", "images/detector.svg"):
        assert (site / made).stat().st_size > 5000


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    loading = (
        r'<(?:script|img|iframe)[^>]*\ssrc="(?:https?:)?//'
        r'|<link[^>]*rel="(?:stylesheet|preload|preconnect)"[^>]*href="https?:'
    )
    for page in site.rglob("*.html"):
        found = re.search(loading, page.read_text(encoding="utf-8"))
        assert found is None, f"{page.name}: {found}"


@pytest.mark.slow
def test_search_works_in_pages_opened_from_a_folder(site):
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "rollback" in index
    assert 'src="javascripts/iframe-worker.js"' in (site / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_no_page_is_a_stub(site):
    for page in site.rglob("*.html"):
        if page.name not in ("404.html",):
            main = re.search(r"<article.*?</article>", page.read_text("utf-8"), re.S)[0]
            words = re.sub(r"<[^>]+>", " ", main).split()
            assert len(words) > 100, f"{page.name} has {len(words)} words"


@pytest.mark.slow
def test_reference_lists_every_verb_and_setting(site):
    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    assert all(f"workbench {verb}" in commands for verb in VERBS)
    recipe = (site / "reference/recipe.html").read_text(encoding="utf-8")
    for word in ("maxproj_min", "angles_deg", "detz_offset_mm", "mask.layers"):
        assert word in recipe


@pytest.mark.slow
def test_reference_has_a_place_for_every_public_name(site):
    """Each name of the package leads to its description, which exists."""
    table = (site / "reference/python.html").read_text(encoding="utf-8")
    linked = dict(re.findall(r'<a href="([^"#]+#[\w.]+)"><code>(\w+)', table))
    assert set(linked.values()) == set(wb.__all__) - {"__version__"}
    for target, name in linked.items():
        page, _, anchor = target.partition("#")
        assert f'id="{anchor}"' in (site / "reference" / page).read_text("utf-8"), name


DESIGNED = {
    "runs": ("Run.events", "Event.seconds", "Event.fiducials", "Event.raw", "Event.data",
             "RunImages.average", "RunImages.stddev", "RunImages.count", "average_run"),
    "images": ("read_image", "write_image", "DetectorImage.distance_mm", "DetectorImage.geometry"),
    "masks": ("make_mask", "Mask.good", "Mask.counts", "Mask.reasons", "write_mask", "Thresholds"),
    "geometry": ("Geometry.read", "Geometry.pixel_positions_um", "GeometryStore.history",
                 "GeometryStore.current", "GeometryStore.deploy", "GeometryStore.rollback",
                 "GeometryStore.diff"),
    "alignment": ("align_quadrants", "Alignment.quadrants", "Alignment.mean_cc",
                  "QuadrantAlignment.offset_px", "QuadrantAlignment.sigma_px"),
    "reports": ("Workbench.show", "Workbench.recipe", "Workbench.save_report", "write_report"),
}  # fmt: skip
"""What scripts rely on, by the page of the reference that describes it."""


@pytest.mark.slow
@pytest.mark.parametrize("page", DESIGNED)
def test_reference_describes_what_scripts_rely_on(site, page):
    html = (site / f"reference/python/{page}.html").read_text("utf-8")
    for name in DESIGNED[page]:
        owner, _, last = name.rpartition(".")
        described = rf'\.{owner}{"." * bool(owner)}(?:\w+, )*{last}(?:, \w+)*"'
        in_table = rf"<td>\s*<code>(?:\w+, )*{last}(?:, \w+)*</code>"
        assert re.search(f"{described}|{in_table}", html), name


def shown_commands():
    """Every `workbench …` line in a code block of the documentation."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.S):
            for line in block.splitlines():
                if line.strip().startswith("workbench "):
                    yield page.name, line.partition("#")[0].strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(shown_commands())))
def test_options_in_the_documentation_exist(page, line, capsys):
    words = line.split()[1:]
    verb = words[:2] if words[0] == "geometry" else words[:1]
    with pytest.raises(SystemExit) as left:
        main([*verb, "--help"])
    assert left.value.code == 0
    known = set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", capsys.readouterr().out))
    used = {
        word.partition("=")[0].replace("_", "-") for word in words if re.match(r"--?[a-zA-Z]", word)
    }
    assert used <= known, f"{page}: {used - known}"


def test_names_in_the_documentation_exist():
    used = set()
    for page in PAGES:
        used |= set(re.findall(r"\bwb\.([A-Za-z_]+)", page.read_text(encoding="utf-8")))
    used -= {"NAME"}
    assert used
    assert used <= set(dir(wb)), used - set(dir(wb))


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {wb.__version__}" in citation
    assert f"## {wb.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_files_named_in_the_documentation_exist():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in re.findall(r"`((?:notebooks|docs|tests|workbench|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_tests_named_in_the_documentation_exist():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    there = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 100
    assert named <= set(re.findall(r"def (test_\w+)\(", there))


def test_package_data_of_reports_are_shipped():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["workbench"]
    assert (ROOT / "workbench/report/templates/report.css").is_file()


def test_the_reference_describes_every_name_of_a_stub():
    griffe = pytest.importorskip("griffe", reason="the documentation's tools are not installed")
    extensions = griffe.load_extensions(str(ROOT / "docs" / "docstrings.py"))
    package = griffe.load("workbench", search_paths=[ROOT], extensions=extensions)
    for module, names in (("", wb.__all__), ("figures.", figures.__all__)):
        for name in names:
            assert name == "__version__" or package[module + name].is_public, name
