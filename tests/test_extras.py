"""The package installs what it imports; without its extras only their verbs are missing."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import workbench
from workbench.cli import main

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PROVIDES = {
    "IPython": "ipython", "PIL": "pillow", "lazy_loader": "lazy-loader",
    "jupyter_client": "ipykernel", "jupyter_core": "ipykernel", "jupyter_server": "jupyterlab",
}  # fmt: skip
"""Package that brings a module of another name."""


def names(requirements):
    """Names of the required packages, as PyPI spells them."""
    found = (re.match(r"[\w.-]+", requirement)[0] for requirement in requirements)
    return {name.lower().replace("_", "-") for name in found} - {PROJECT["name"]}


EXTRAS = {
    extra: names(PROJECT["optional-dependencies"][extra])
    for extra in ("report", "lab", "cbf", "cluster", "psana")
}


def imported():
    """Modules from elsewhere that the package imports, each with a file that does."""
    for path in (ROOT / "workbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            for module in modules:
                top = module.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in ("workbench", "_typeshed"):
                    yield top, path.relative_to(ROOT)


def test_every_import_is_declared():
    known = names(PROJECT["dependencies"]).union(*EXTRAS.values())
    missing = {
        (module, str(path))
        for module, path in imported()
        if PROVIDES.get(module, module.lower()).replace("_", "-") not in known
    }
    assert not missing


def at_least(requirements):
    """Lowest version by package, as conda-forge spells the names."""
    text = "\n".join(requirements).replace("_", "-").replace("matplotlib-base", "matplotlib")
    return dict(re.findall(r"^([\w-]+)(?:\[\w+\])? ?>=([\d.]+)", text, re.M))


def test_the_recipe_for_conda_forge_asks_for_the_same_versions():
    recipe = yaml.safe_load((ROOT / ".ci/packaging/recipe.yaml").read_text(encoding="utf-8"))
    extras = PROJECT["optional-dependencies"]
    asked = at_least(recipe["requirements"]["run"])
    assert asked == at_least(PROJECT["dependencies"] + extras["report"] + extras["lab"])
    assert at_least(recipe["requirements"]["run_constraints"]).items() <= (
        at_least(extras["cluster"]).items()
    )
    assert PROJECT["requires-python"] == f">={recipe['context']['python_min']}"
    assert recipe["context"]["version"] == workbench.__version__


@pytest.mark.slow
def test_the_commands_that_conda_forge_would_try_work(tmp_path, monkeypatch):
    recipe = yaml.safe_load((ROOT / ".ci/packaging/recipe.yaml").read_text(encoding="utf-8"))
    _, simulate = recipe["tests"][1]["script"]
    monkeypatch.chdir(tmp_path)
    assert main(simulate.split()[1:]) == 0
    assert list(tmp_path.rglob("*.xtc"))


def test_the_environment_of_binder_installs_extras_that_exist():
    folder = ROOT / ".binder"
    environment = yaml.safe_load((folder / "environment.yml").read_text(encoding="utf-8"))
    constraint, package = environment["dependencies"][-1]["pip"]
    assert (folder / constraint.removeprefix("--constraint ")).is_file()
    place, extras = re.fullmatch(r"(.*)\[(.*)\]", package).groups()
    assert (folder / place / "pyproject.toml").is_file()
    assert set(extras.split(",")) <= set(EXTRAS)


WITHOUT = """
import importlib, importlib.abc, os, pkgutil, sys

HIDDEN = {hidden!r}

class Hidden(importlib.abc.MetaPathFinder):
    '''Answers for a package as if it were not installed.'''
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

found = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in HIDDEN else found(name)
sys.meta_path.insert(0, Hidden())
import workbench
{then}
"""


def run_without(hidden, then):
    """Run Python where some packages cannot be imported."""
    modules = {module for module, name in PROVIDES.items() if name in hidden}
    code = WITHOUT.format(
        hidden={*(name.replace("-", "_") for name in hidden), *modules}, then=then
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_everything_is_imported_without_the_extras():
    done = run_without(
        set().union(*EXTRAS.values()),
        """
for module in pkgutil.walk_packages(workbench.__path__, "workbench."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in workbench.__all__:
    getattr(workbench, name)
""",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("extra", "then"),
    [
        ("report", "from workbench.report import write_report; write_report('x.toml')"),
        ("lab", "import workbench.cli as c; sys.exit(c.main(['lab']))"),
        ("cluster", "from workbench.averages import Dask; Dask().connected().__enter__()"),
        ("psana", "from workbench.runs.psana_run import _run_of; _run_of(['x.xtc2'])"),
    ],
)
def test_a_verb_without_its_extra_names_it(extra, then):
    done = run_without(EXTRAS[extra], then)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert f"pip install 'cspad-workbench[{extra}]'" in last
