"""The command line as a whole: help, info, warmup, and the demo end to end."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

import numtorch as torch
from numtorch.__main__ import COMMANDS, main
from numtorch.cli import workloads
from numtorch.cli.figure import training_figure
from numtorch.cli.progress import Progress
from numtorch.kernels import host
from numtorch.kernels.compiler import jit

from .commands import numtorch


def test_help_names_every_command_and_examples():
    text = numtorch("--help").stdout
    assert all(f"\n    {name} " in text for name in COMMANDS) and "examples:" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = numtorch(name, "--help")
    assert result.returncode == 0 and len(result.stdout) > 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "0"), "0 is not positive"),
        (("--lr", "nan"), "nan is not a learning rate"),
        (("--out", "taken"), "cannot write to taken: File exists"),
    ],
)
def test_the_demo_refuses_before_it_trains(arguments, message, tmp_path):
    (tmp_path / "taken").touch()
    result = numtorch("demo", *arguments, cwd=tmp_path)
    assert result.returncode == 2 and message in result.stderr


def test_no_command_is_an_error():
    result = numtorch()
    assert result.returncode == 2 and "COMMAND" in result.stderr


def test_info():
    facts = json.loads(numtorch("info", "--json").stdout)
    assert facts["numtorch"] == torch.__version__
    assert facts["threads"] >= 1 and "bits" in facts["vector width"] and facts["cuda"]
    text = numtorch("info").stdout
    assert all(f"{name} " in text for name in facts)


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, "128 bits (4 float32)"),
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"}, "256 bits (8 float32)"),
    ],
)
def test_info_tells_what_numba_compiles_for(settings, width):
    facts = json.loads(numtorch("info", "--json", **settings).stdout)
    assert (facts["processor"], facts["vector width"]) == (settings["NUMBA_CPU_NAME"], width)


def test_a_cpu_named_without_features_has_those_of_this_machine(monkeypatch):
    for name, value in {"CPU_NAME": "another", "CPU_FEATURES": None, "ENABLE_AVX": 1}.items():
        monkeypatch.setattr(host.config, name, value)
    here = {name for name, has in host.binding.get_host_cpu_features().items() if has}
    assert host.features.__wrapped__() == here  # as Numba takes them


def test_warmup_counts_what_it_compiles(monkeypatch, capsys):
    @jit
    def triple(x):
        return x * 3

    monkeypatch.setattr(workloads, "WORKLOADS", {"triple": lambda: triple(1.5)})
    assert main(["warmup"]) == 0
    first = capsys.readouterr().out
    assert main(["warmup", "triple"]) == 0
    assert "triple" in first and "0 kernels compiled " in capsys.readouterr().out


def test_every_workload_runs():
    for run in workloads.WORKLOADS.values():
        run()


def test_warmup_of_something_else():
    result = numtorch("warmup", "tea")
    assert result.returncode == 2 and "no workload 'tea'" in result.stderr


def test_a_short_demo_writes_its_files(tmp_path, capsys):
    assert main(["demo", "--epochs", "1", "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "epoch  1/1" in text and "what to try next" in text
    checkpoint = torch.load(tmp_path / "out" / "digits.pth")
    assert len(checkpoint["model"]) == 8 and 0.5 < checkpoint["accuracy"] <= 1
    picture = ElementTree.parse(tmp_path / "out" / "digits.svg").getroot()
    assert picture.tag.endswith("svg") and len(list(picture)) > 500


def test_the_demo_refuses_no_epochs():
    result = numtorch("demo", "--epochs", "0")
    assert result.returncode == 2 and "0 is not positive" in result.stderr


@pytest.mark.parametrize("losses", [[1.0], [2.0, 1e-12], [float("nan"), float("inf")]])
def test_a_figure_of_any_training(losses):
    figure = training_figure(losses, [0.1] * len(losses), [([[0.0, 1.0], [0.5, 0.0]], 3, 5)], "a < b")
    words = [element.text for element in ElementTree.fromstring(figure).iter() if element.text]
    assert "a < b" in words and "5 (is 3)" in words


class Terminal:
    def __init__(self, watched):
        self.watched, self.text = watched, ""

    def isatty(self):
        return self.watched

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_on_a_terminal_and_off(capsys):
    watched, plain = Terminal(True), Terminal(False)
    for stream in (watched, plain):
        with Progress("work", 4, stream) as progress:
            progress.advance()
            progress.tell("compiling sum...")
            progress.print("a line")
    assert "work  [####------------]  1/4  compiling sum..." in watched.text
    assert watched.text.endswith("\r\x1b[K") and plain.text == ""
    assert capsys.readouterr().out == "a line\na line\n"
