"""What pages show and say holds: their code and commands have the results that they name; what they name exists."""

import doctest
import importlib
import pkgutil
import re
import runpy
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from doc_pages import PAGES, ROOT, run_page, words
from helpers import write_dataset

from maskgen import cli
from maskgen.schemes import SCHEMES

README = (ROOT / "README.md").read_text()


def test_readme(demo, capsys):
    """Its commands take the texts of the demo for a corpus."""
    texts = (demo / "corpus.jsonl").read_bytes()
    Path("corpus.jsonl").write_bytes(texts)
    Path("crawl").mkdir()
    Path("crawl/0.jsonl.zst").write_bytes(pytest.importorskip("zstandard").compress(texts))
    for number in range(2):
        write_dataset(f"part-{number}", [[[1, 2]]])
    names, printed = run_page("README.md", capsys)
    assert "«the keeper»" in printed_by(printed, "--search")
    assert printed_by(printed, "maskgen verify").count("\nok  ") == 1
    dataset, tokenizer = names["dataset"], names["tokenizer"]
    assert dataset[1].tolist() == [2003, 102]
    assert dataset.document_indices.tolist() == [0, 2]
    assert tokenizer.engine == "native"
    assert tokenizer.decode(names["ids"][: names["lengths"][0]]) == "the lighthouse."
    assert names["batch"]["text"].shape == (32, 64)
    assert names["rows"] == [3, 3, 3, 3, 3]
    assert names["resumed"].consumed == 40


def printed_by(printed, part):
    """What the one command with `part` in it has printed."""
    (output,) = [output for command, output in printed.items() if part in command]
    return output


def test_masking(demo, capsys):
    """With the results that its comments name."""
    names, _ = run_page("docs/masking.md", capsys)
    assert (names["result"].positions, names["result"].labels) == ([3, 4], [5, 6])
    assert names["batch"]["text"].shape == (2, 8)


def test_rows_have_the_results_of_their_comments(demo, capsys):
    names, _ = run_page("docs/rows.md", capsys)
    shown = re.findall(r"^(batch\..*?)  # (.*)$", (ROOT / "docs/rows.md").read_text(), re.MULTILINE)
    for expression, result in shown:
        assert eval(expression, names) == eval(result), expression
    assert len(shown) == 8


def test_batches(demo, capsys):
    """Its assertion holds, and the ramp is the one of its comment."""
    names, _ = run_page("docs/batches.md", capsys)
    assert names["ramp"] == [(0, 4), (34, 8), (67, 12), (100, 16)]
    assert names["blended"]["text"].shape == (4, 32)
    assert names["state"]["consumed"] == len(names["samples"])


def test_examples_in_docstrings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = 0
    for module in pkgutil.walk_packages([str(ROOT / "maskgen")], "maskgen."):
        try:
            found = doctest.testmod(importlib.import_module(module.name))
        except ModuleNotFoundError as error:
            if error.name != "torch":  # an extra: its modules say so themselves
                raise
            continue
        assert found.failed == 0
        tried += found.attempted
    assert tried > 3


def test_samples(demo, capsys):
    names, _ = run_page("docs/samples.md", capsys)
    assert list(names["inputs"]) == ["input_ids", "attention_mask", "token_type_ids", "labels"]
    batch, out = names["batch"], names["out"]
    assert batch["text"] is out["text"]
    assert batch["masked_labels"].base is out["masked_labels"]


def test_schemes(demo, capsys):
    """Each has a section, and an example."""
    names, printed = run_page("docs/schemes.md", capsys)
    assert names["later"]["text"].shape == (3, 64)
    assert set(re.findall(r"--scheme (\S+)", " ".join(printed))) == set(names["SCHEMES"])
    text = (ROOT / "docs/schemes.md").read_text()
    assert all(f"### {name}\n" in text for name in names["SCHEMES"])


def test_fingerprints(demo, capsys):
    """The results of its comment, and the output of a run that differs."""
    names, printed = run_page("docs/fingerprints.md", capsys)
    result = names["result"]
    assert (result.ok, result.stage, result.what) == (False, "settings", "seed: 1234 and 1235")
    assert cli.main([*shlex.split(list(printed)[1])[1:], "--masked-lm-prob", "0.2"]) == 1
    (expected,) = re.findall(r"```text\n(.*?)```", (ROOT / "docs/fingerprints.md").read_text(), re.DOTALL)
    assert words(capsys.readouterr().out) == words(expected)


def test_every_byte_of_the_worked_example(demo, capsys):
    """Each line is the bytes of its offset, and says the numbers that they are."""
    run_page("docs/indexed-dataset.md", capsys)
    (shown,) = re.findall(r"```text\n(.*?)```", (ROOT / "docs/indexed-dataset.md").read_text(), re.DOTALL)
    for part in shown.split("\n\n"):
        head, *lines = part.splitlines()
        name, size = re.fullmatch(r"(tiny\.\w+), (\d+) bytes", head).groups()
        found, width = b"", 2 if name == "tiny.bin" else None
        for line in lines:
            offset, digits, meaning = re.fullmatch(r" *(\d+)  ((?:[0-9a-f]{2} )+) +(.*)", line + " ").groups()
            content = bytes.fromhex(digits)
            assert int(offset) == len(found), line
            found += content
            if "magic" not in meaning:
                step = width or len(content)
                values = [int.from_bytes(content[at : at + step], "little") for at in range(0, len(content), step)]
                assert values == [int(each) for each in re.findall(r"\d+", meaning.split(": ")[1])[: len(values)]], line
        assert found == Path(name).read_bytes()
        assert len(found) == int(size)


def test_objectives_and_the_tests_that_they_name(demo, capsys):
    """Each defect of the sources is named beside the test that would fail with it."""
    names, _ = run_page("docs/objectives.md", capsys)
    assert names["result"].disc_labels.shape == names["batch"]["text"].shape == (3, 64)
    assert bool(names["mlm"](names["mlm"].masked(names["tokens"])) > 0)
    check_models_of_transformers(**{name: names[name] for name in ("samples", "bert", "wrapped", "small", "large")})
    tests = "".join((ROOT / f"tests/{file}.py").read_text() for file in ("test_on_device", "test_objectives_mlm"))
    tests += (ROOT / "tests/test_objectives_electra.py").read_text()
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/objectives.md").read_text())
    assert len(named) == 17
    for name in named:
        assert f"def {name}(" in tests, name


def check_models_of_transformers(samples, bert, wrapped, small, large):
    """The loss is the model's own, every parameter has learned, and embeddings are one."""
    import torch

    from maskgen import to_hf

    arrays = samples.batch([0, 1, 2])
    given = {name: torch.as_tensor(array) for name, array in to_hf(arrays).items()}
    for model in (bert, small, large):
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert torch.allclose(wrapped.eval()(arrays), bert.eval()(**given).loss, rtol=1e-5)
    words = large.get_input_embeddings().weight
    assert words is small.get_input_embeddings().weight is small.get_output_embeddings().weight
    assert Path("my-bert/config.json").exists()
    assert Path("my-electra/config.json").exists()


def test_the_drawing_of_schemes_is_that_of_the_page():
    """After a change of the page: python tools/draw_schemes.py."""
    drawing = (ROOT / "docs/schemes.svg").read_text()
    assert (
        runpy.run_path(str(ROOT / "tools/draw_schemes.py"))["drawn"]((ROOT / "docs/schemes.md").read_text()) == drawing
    )
    texts = [
        "".join(each.itertext()) for each in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert set(SCHEMES) <= set(texts)


@pytest.mark.parametrize("kind", ["run", "test"])
def test_set_up_commands_are_one_line_with_constraints(kind):
    (block,) = re.findall(rf"<!-- setup:{kind} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert block.count("\n") == 1
    assert "pip install -c constraints.txt" in block


@pytest.mark.parametrize("path", PAGES)
def test_commands_and_files_that_are_named_exist(path):
    text = (ROOT / path).read_text()
    for command in re.findall(r"(?<!from )\bmaskgen ([a-z][a-z-]+)", text):
        assert command in cli.COMMANDS, command
    for file in re.findall(r"`((?:docs|tools|preprocess|maskgen|csrc|tests)/[\w./-]*)`", text):
        assert (ROOT / file).exists(), file


def test_the_index_has_every_page_and_readme_is_short():
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    links = re.findall(r"^\| \[(.*?)\]\((.*?)\) \|", index, re.MULTILINE)
    assert all(text == target for text, target in links)
    assert sorted(target for _, target in links) == sorted(pages)
    assert "(docs/README.md)" in README
    assert README.count("\n") <= 200


def test_the_file_tree_of_readme_is_that_of_the_packages():
    (tree,) = re.findall(r"```text\n(preprocess/.*?)```", README, re.DOTALL)
    parent, shown = "", set()
    for line in tree.splitlines():
        names = re.findall(r"\b(\w+)/(?=[,\s])", line.split("  ")[0] + " ")
        if line.startswith(("├", "└")):
            shown |= {f"{parent}/{name}" for name in names}
        else:
            (parent,) = names
            shown.add(parent)
    packages = {
        file.parent.relative_to(ROOT).as_posix()
        for top in ("preprocess", "maskgen")
        for file in ROOT.glob(f"{top}/**/__init__.py")
    }
    assert {name for name in packages if name.count("/") < 2} <= shown
    assert all((ROOT / name).is_dir() for name in shown)


def test_the_list_of_pages_names_every_package():
    (_, table) = (ROOT / "docs/README.md").read_text().split("## By package\n")
    packages = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for top in ("preprocess", "maskgen")
        for file in ROOT.glob(f"{top}/*/**/__init__.py")
    }
    assert set(re.findall(r"`((?:preprocess|maskgen)\.[\w.]+)`", table)) == packages - {"preprocess.pipeline.executors"}
    assert all((ROOT / "docs" / page).is_file() for page in re.findall(r"\]\((.*?)\)", table))


def test_constraints_name_every_requirement():
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    project = (ROOT / "pyproject.toml").read_text().split("[project]")[1].split("[project.scripts]")[0]
    required = set(re.findall(r"^    \"([\w-]+)>=", project, re.MULTILINE))
    assert required
    assert required <= pinned
