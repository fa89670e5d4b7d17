"""The training loop, in this process: what a run leaves, what it says, how it stops, what it refuses."""

import json
import math
import os
import re
import signal
import sys
from dataclasses import replace

import pytest
import torch
from doc_pages import ROOT, run_page
from rank_runs import Watch
from train_runs import flags, records, tiny, write_corpus

from maskgen import cli
from maskgen.train import loop, stopping
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.models import Discriminator, load_pretrained
from maskgen.train.objectives import electra
from maskgen.train.settings import DEFAULTS
from maskgen.train.stopping import Stopping
from preprocess.errors import MaskgenError
from preprocess.pipeline import work_folder

ELECTRA = {"mlm_loss", "disc_loss", "mlm_accuracy", "disc_accuracy", "disc_precision", "disc_recall", "disc_auc"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def run(settings):
    with World.start("cpu") as world:
        return loop.train(settings, world)


def test_a_run_leaves_settings_metrics_checkpoints_and_a_model(tmp_path, corpus, capsys):
    settings = tiny(tmp_path, *corpus, save_every=2, keep=2, eval_every=3, quiet=False)
    outcome = run(settings)
    assert (outcome.step, outcome.exit_code) == (6, 0)
    folder = tmp_path / "run"
    assert json.loads((folder / "settings.json").read_text())["scheme"] == "bert"
    assert sorted(os.listdir(folder / "checkpoints")) == ["step-00000004", "step-00000006"]
    steps = records(folder)
    assert [record["step"] for record in steps] == [1, 2, 3, 4, 5, 6]
    assert [record["consumed"] for record in steps] == [8, 16, 24, 32, 40, 48]
    assert steps[0]["loss"] == pytest.approx(math.log(128), abs=0.2)
    assert [round(record["lr"] / 1e-3, 3) for record in steps[:3]] == [1.0, 1.0, 0.8]
    assert set(steps[0]) == {
        "kind", "step", "consumed", "loss", "mlm_accuracy", "lr", "grad_norm", "tokens_per_second", "seconds_per_step",
        "data_wait", "packing_efficiency", "mfu",
    }  # fmt: skip
    assert [record["step"] for record in records(folder, "validation")] == [3, 6]
    model = load_pretrained(folder / "model")
    assert model.config.vocab_size == 128  # 100 ids, rounded up to a multiple of 64
    assert (folder / "model" / "tokenizer.json").exists()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mlm, bert tiny: ")
    assert lines[1].startswith("step 1/6  loss 4.8")
    assert len(lines) == 1 + 6 + 2


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"objective": "electra"}, ELECTRA),
        ({"objective": "electra", "architecture": "modern"}, {"disc_auc"}),
        ({"architecture": "modern", "size": "tiny"}, {"mlm_accuracy"}),
        ({"next_sentence": True}, {"mlm_loss", "pairs_loss", "pairs_accuracy"}),
        ({"scheme": "roberta", "rows": "pairs", "next_sentence": True}, {"pairs_accuracy"}),
        ({"scheme": "masked-diffusion"}, {"mlm_accuracy"}),
        ({"scheme": "spanbert", "optimizer": "stable-adamw", "schedule": "cosine"}, {"mlm_accuracy"}),
        ({"precision": "bf16", "schedule": "wsd", "mask_rate": "0.4:0.2"}, {"mlm_accuracy"}),
    ],
)  # fmt: skip
def test_objectives_architectures_and_schemes_train_and_are_exported(tmp_path, corpus, changes, names):
    settings = tiny(tmp_path, *corpus, steps=3, **changes)
    run(settings)
    steps = records(tmp_path / "run")
    assert len(steps) == 3
    assert names <= set(steps[0])
    assert all(math.isfinite(record["loss"]) for record in steps)
    (validation,) = records(tmp_path / "run", "validation")
    assert names <= set(validation)
    assert load_pretrained(tmp_path / "run" / "model").config.architecture == settings.architecture
    assert (tmp_path / "run" / "generator").exists() == (settings.objective == "electra")


@pytest.mark.parametrize("objective", ["mlm", "electra"])
def test_accumulation_gives_the_gradients_of_the_whole_batch(tmp_path, corpus, objective, monkeypatch):
    watch, seen = Watch(monkeypatch.setattr), []
    # What ELECTRA's generator samples depends on the order of the calls; what it finds most probable does not.
    monkeypatch.setattr(electra, "sample", lambda logits, *_: logits.detach().argmax(1))
    for micro in (None, 3):
        watch.clear()
        settings = tiny(tmp_path / str(micro), *corpus, steps=1, batch_size=12, micro_batch=micro, dropout=0.0)
        run(replace(settings, objective=objective, scheme="electra"))
        seen.append(watch.seen)
    assert torch.equal(seen[0]["rows"][0], seen[1]["rows"][0])
    for whole, parts in zip(seen[0]["gradients"], seen[1]["gradients"], strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


def test_gradients_are_clipped_and_0_leaves_them(tmp_path, corpus):
    norms = {}
    for clip in (0.0, 0.01):
        run(tiny(tmp_path / str(clip), *corpus, steps=3, clip=clip, dropout=0.0, lr=0.01))
        norms[clip] = [record["grad_norm"] for record in records(tmp_path / str(clip) / "run")]
    assert norms[0.0][0] == norms[0.01][0] > 0.01  # the norm before clipping
    assert norms[0.0] != norms[0.01]


def test_batch_ramp(tmp_path, corpus):
    run(tiny(tmp_path, *corpus, batch_ramp="2:2:12", batch_size=8))
    assert [record["consumed"] for record in records(tmp_path / "run")] == [2, 4, 8, 14, 22, 30]


def test_validation_does_not_depend_on_how_it_is_cut(tmp_path, corpus):
    found = []
    for micro in (1, 2, 8):
        run(tiny(tmp_path / str(micro), *corpus, steps=1, micro_batch=micro, lr=1e-30))
        (record,) = records(tmp_path / str(micro) / "run", "validation")
        found.append(record["loss"])
    assert found == pytest.approx([found[0]] * 3, rel=1e-6)


def test_nothing_masked_is_a_loss_of_0(tmp_path, corpus):
    run(tiny(tmp_path, *corpus, steps=2, scheme="roberta", mask_rate="1e-12"))
    assert [record["loss"] for record in records(tmp_path / "run")] == [0.0, 0.0]


def test_a_finished_run_says_so_and_goes_on_with_more_steps(tmp_path, corpus, capsys):
    settings = tiny(tmp_path, *corpus, steps=2)
    assert cli.main(["train", *flags(settings)]) == 0
    capsys.readouterr()
    assert cli.main(["train", *flags(settings)]) == 0
    assert "finished already, 2 steps" in capsys.readouterr().out
    assert cli.main(["train", *flags(settings, steps=4)]) == 0
    assert [record["step"] for record in records(tmp_path / "run")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.5}, r"other settings: lr: 0.001 and 0.5 \(saved, here\)"),
        ({"scheme": "roberta"}, "other settings: scheme"),
        ({"objective": "electra"}, "other settings: (scheme|objective)"),
        ({"data": "other"}, "other data or settings than those here: samples"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_with_the_first_difference(tmp_path, corpus, capsys, changes, words):
    settings = tiny(tmp_path, *corpus, steps=2)
    run(settings)
    if "data" in changes:
        changes = {"data": (write_corpus(tmp_path, "other", seed=8)[0],)}
    before = records(tmp_path / "run")
    assert cli.main(["train", *flags(tiny(tmp_path, *corpus, **{"steps": 4, **changes}))]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(words, error)
    assert records(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_seq_length": 513}, "longer than the 512 positions"),
        ({"batch_size": 9, "micro_batch": 2}, "a global batch of 9 samples for 1 ranks and micro-batches of 2"),
        ({"scheme": "t5"}, "docs/encoder-decoders.md"),
        ({"scheme": "nonsense"}, "--scheme nonsense"),
        ({"init_from": ("nowhere",)}, "nowhere"),
        ({"max_time": "soon"}, "soon"),
        ({"mask_rate": "1.5"}, "1.5"),
        ({"data": ("nowhere",)}, "nowhere"),
    ],
)
def test_bad_settings_are_one_line_before_the_first_step(tmp_path, corpus, capsys, changes, words):
    settings = tiny(tmp_path, *corpus)
    assert cli.main(["train", *flags(settings, **changes)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("maskgen train: error: ")
    assert error.count("\n") == 1
    assert words in error
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_and_the_run_goes_on_with_the_same_losses(tmp_path, corpus, capsys, monkeypatch, number):
    run(tiny(tmp_path / "straight", *corpus))
    settings = tiny(tmp_path, *corpus)
    once, one_step = [], loop.Run.one_step

    def interrupted(self, step, loader):
        if step == 2 and not once:
            once.append(os.kill(os.getpid(), number))
        return one_step(self, step, loader)

    monkeypatch.setattr(loop.Run, "one_step", interrupted)
    assert cli.main(["train", *flags(settings)]) == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert "saved after step 3" in capsys.readouterr().err
    assert not (tmp_path / "run" / "model").exists()
    assert cli.main(["train", *flags(settings)]) == 0
    assert losses(tmp_path) == losses(tmp_path / "straight")


def losses(folder):
    return [(record["step"], record["loss"], record["grad_norm"]) for record in records(folder / "run")]


def test_a_time_budget_saves_exports_and_the_run_goes_on(tmp_path, corpus, capsys, monkeypatch):
    settings = tiny(tmp_path, *corpus, max_time="1h")
    monkeypatch.setattr(Stopping, "asked", property(lambda self: True))
    monkeypatch.setattr(Stopping, "reason", property(lambda self: "the time budget of 1h"))
    assert cli.main(["train", *flags(settings)]) == 0
    assert "saved after step 1 (the time budget of 1h); run the same command again" in capsys.readouterr().out
    assert (tmp_path / "run" / "model").exists()
    monkeypatch.undo()
    assert cli.main(["train", *flags(settings)]) == 0
    assert [record["step"] for record in records(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_norm_that_is_no_number_stops_with_the_step_the_samples_and_a_state(tmp_path, corpus, monkeypatch):
    settings = tiny(tmp_path, *corpus, save_every=2)
    one_step = loop.Run.one_step

    def spoiled(self, step, loader):
        if step == 3:
            with torch.no_grad():
                next(iter(self.parameters)).fill_(math.nan)
        return one_step(self, step, loader)

    monkeypatch.setattr(loop.Run, "one_step", spoiled)
    with pytest.raises(TrainError) as caught:
        run(settings)
    said = str(caught.value)
    assert "\n" not in said
    assert "step 4: the gradient's norm is nan, the loss nan" in said
    samples = said.split(f"{corpus[0]} ")[1]
    from maskgen.train.data import open_data

    assert json.loads(samples) == open_data(settings).source().draws(24).indices.tolist()
    assert sorted(os.listdir(tmp_path / "run" / "checkpoints")) == ["step-00000002"]
    from maskgen.train.checkpoints import Checkpoints

    with World.start("cpu") as world:
        failed = Checkpoints(tmp_path / "run" / "failed")
        state = failed.load(failed.latest(world=world), world=world)
    assert state.step == 3
    assert state.state["data"]["consumed"] == 24
    assert any(torch.isnan(tensor).any() for tensor in state.state["model"].values())
    monkeypatch.undo()
    assert run(settings).step == 6  # from the last good one on


def test_weights_of_a_folder_are_where_a_run_starts(tmp_path, corpus, capsys):
    first = tiny(tmp_path / "a", *corpus, steps=3, objective="electra")
    run(first)
    folders = tuple(str(tmp_path / "a" / "run" / name) for name in ("model", "generator"))
    second = tiny(tmp_path / "b", *corpus, steps=1, objective="electra", init_from=folders, lr=1e-30)
    run(second)
    for folder, name in zip(folders, ("model", "generator"), strict=True):
        before, after = (
            load_pretrained(folder).state_dict(),
            load_pretrained(tmp_path / "b" / "run" / name).state_dict(),
        )
        assert set(before) == set(after)
        assert all(torch.equal(before[key], after[key]) for key in before)
    settings = tiny(tmp_path / "c", *corpus)
    for folder, changes, words in (
        (folders[0], {}, "expected a MaskedLm as the model of mlm"),
        (folders[1], {"max_seq_length": 600, "max_positions": 600}, "512 positions"),
        (folders[1], {"architecture": "modern"}, "found a bert model"),
    ):
        assert cli.main(["train", *flags(replace(settings, init_from=(folder,)), **changes)]) == 2
        assert words in capsys.readouterr().err


def test_a_second_run_in_the_folder_is_refused_and_the_first_one_is_left_alone(tmp_path, corpus, capsys, monkeypatch):
    monkeypatch.setattr(work_folder, "PATIENCE", 0.0)
    settings = tiny(tmp_path, *corpus)
    one_step, refused = loop.Run.one_step, []

    def with_another(self, step, loader):
        if step == 3:
            refused.append(cli.main(["train", *flags(settings)]))
        return one_step(self, step, loader)

    monkeypatch.setattr(loop.Run, "one_step", with_another)
    assert run(settings).step == 6
    assert refused == [2]
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "found another run at work there, expected none" in error
    assert [record["step"] for record in records(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    assert run(settings).nothing_done  # the lock is gone with the run


def test_a_refused_run_leaves_no_folder(tmp_path, corpus):
    with pytest.raises(MaskgenError):
        run(replace(tiny(tmp_path, *corpus), data=("nowhere",)))
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_killed_before_its_export_is_not_finished(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(Stopping, "reason", property(lambda self: "the time budget of 1h"))
    run(tiny(tmp_path, *corpus, max_time="1h"))  # exports the model of step 1
    monkeypatch.undo()
    torch.set_num_threads(1)
    settings = tiny(tmp_path, *corpus)
    export = loop.Run.export
    monkeypatch.setattr(loop.Run, "export", lambda self, step: sys.exit("a power cut"))
    with pytest.raises(SystemExit):
        run(settings)
    monkeypatch.setattr(loop.Run, "export", export)
    outcome = run(settings)
    assert (outcome.step, outcome.nothing_done) == (6, False)
    weights = torch.load(tmp_path / "run" / "checkpoints" / "step-00000006" / "model.pt", weights_only=True)
    exported = load_pretrained(tmp_path / "run" / "model").encoder.word_embeddings.weight
    assert any(tensor.shape == exported.shape and torch.equal(tensor, exported) for tensor in weights.values())
    assert run(settings).nothing_done


def test_damaged_checkpoints_alone_start_nothing_anew(tmp_path, corpus, capsys):
    settings = tiny(tmp_path, *corpus, steps=2)
    run(settings)
    before = records(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-00000002" / "model.pt").write_bytes(b"x")
    assert cli.main(["train", *flags(settings, steps=4)]) == 2
    assert "found damaged checkpoints alone" in capsys.readouterr().err
    assert records(tmp_path / "run") == before


def test_time_for_opening_the_data_is_part_of_the_budget(tmp_path, corpus, monkeypatch):
    opened, now = loop.open_data, [0.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])

    def slowly(settings):
        now[0] += 7200
        return opened(settings)

    monkeypatch.setattr(loop, "open_data", slowly)
    outcome = run(tiny(tmp_path, *corpus, max_time="1h"))
    assert (outcome.step, outcome.reason) == (1, "the time budget of 1h")


def test_a_signal_while_a_checkpoint_is_saved_does_not_end_it(tmp_path, corpus, capsys, monkeypatch):
    one_step, save = loop.Run.one_step, loop.Run.save

    def terminated(self, step, loader):
        os.kill(os.getpid(), signal.SIGTERM)
        return one_step(self, step, loader)

    def again(self, step):
        os.kill(os.getpid(), signal.SIGTERM)  # torchrun forwards what the process has got already
        save(self, step)

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        monkeypatch.setattr(loop.Run, "one_step", terminated)
        monkeypatch.setattr(loop.Run, "save", again)
        assert cli.main(["train", *flags(tiny(tmp_path, *corpus))]) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["step-00000001"]


def test_validation_changes_nothing_of_the_training(tmp_path, corpus):
    for every in (1, 100):
        run(tiny(tmp_path / str(every), *corpus, objective="electra", dropout=0.1, eval_every=every))
    assert len(records(tmp_path / "1" / "run", "validation")) == 6
    assert losses(tmp_path / "1") == losses(tmp_path / "100")


@pytest.mark.parametrize(
    "changes",
    [pytest.param({"objective": "electra", "architecture": "modern"}, marks=pytest.mark.slow), {"scheme": "bert"}],
)
def test_compiled_encoders_give_the_same_losses_and_are_never_left_out(tmp_path, corpus, monkeypatch, changes):
    torch._dynamo.reset()
    few = torch._dynamo.config.patch(
        recompile_limit=2, fail_on_recompile_limit_hit=True
    )  # of which the loop makes more
    with monkeypatch.context() as patched, few:
        compiled = torch.nn.Module.compile
        patched.setattr(torch.nn.Module, "compile", lambda module: compiled(module, backend="eager"))
        for compile_ in (False, True):
            settings = tiny(tmp_path / str(compile_), *corpus, batch_ramp="4:2:12", eval_every=2, **changes)
            run(replace(settings, compile=compile_))
    torch._dynamo.reset()
    one, other = (losses(tmp_path / folder) for folder in ("False", "True"))
    assert [record[1:] for record in one] == [pytest.approx(record[1:], rel=1e-4) for record in other]


def test_a_discriminator_may_start_as_a_masked_language_model(tmp_path, corpus):
    run(tiny(tmp_path / "a", *corpus, steps=2))
    folder = str(tmp_path / "a" / "run" / "model")
    run(tiny(tmp_path / "b", *corpus, steps=1, objective="electra", init_from=(folder,), lr=1e-30))
    before, after = load_pretrained(folder), load_pretrained(tmp_path / "b" / "run" / "model")
    assert isinstance(after, Discriminator)
    found = after.encoder.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in before.encoder.state_dict().items())


def test_tensorboard_that_is_not_there_is_one_line(tmp_path, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainError, match="--tensorboard needs the package tensorboard"):
        run(tiny(tmp_path, *corpus, tensorboard=True))


def test_what_the_page_shows_runs(demo, capsys):
    run_page("docs/training.md", capsys)
    for name in ("mlm/model", "electra/model", "electra/generator"):
        assert load_pretrained(demo / name).config.vocab_size % 64 == 0
    rows = re.findall(
        r"^\| (mlm|diffusion|electra|clip): .*?\|(.*)\|$", (ROOT / "docs/training.md").read_text(), re.MULTILINE
    )
    assert {name: [tuple(map(float, cell.split(", "))) for cell in cells.split("|")] for name, cells in rows} == {
        name: list(sizes.values()) for name, sizes in DEFAULTS.items()
    }
