"""PyTorch's side: tensors made ahead, states of what was yielded, memory that is kept while it is referred to."""

import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from counted_samples import CountedSamples, assert_same, drawn
from sample_files import toy_samples

from maskgen.batches import BatchError, BatchSource, Blend
from maskgen.samples import to_hf

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("maskgen.datasets")
Loader, SamplesDataset = datasets.Loader, datasets.SamplesDataset


def as_arrays(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name == "maskgen batches"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert our_threads() == []


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_loader_yields_the_batches_of_its_source(tmp_path, depth):
    samples = toy_samples(tmp_path / "toy")
    source, twin = (BatchSource(samples, batch_size=[(0, 3), (9, 8)], epochs=3, seed=1) for _ in range(2))
    count = 0
    for tensors in Loader(source, depth=depth):
        assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
        assert_same(as_arrays(tensors), next(twin))
        assert source.consumed == twin.consumed
        count += 1
    assert count == 3 + 11
    assert next(twin, None) is None


def test_batches_that_are_kept_stay_as_they_are():
    samples = CountedSamples(100)
    source = BatchSource(samples, batch_size=8, epochs=2)
    kept = [tensors["row"][2:4].T for tensors in Loader(source)]  # views of views are enough
    expected = [batch["row"][2:4].T for batch in BatchSource(samples, batch_size=8, epochs=2)]
    assert len(kept) == len(expected) == 25
    for found, array in zip(kept, expected, strict=True):
        assert np.array_equal(found.numpy(), array)


def test_converted_views_that_are_kept_stay_as_they_are():
    samples = CountedSamples(100)

    def narrow(batch):
        return {"row": batch["row"][:, :2], "index": batch["index"].reshape(-1, 1)}

    kept = list(Loader(BatchSource(samples, batch_size=8, epochs=2), convert=narrow, depth=1))
    for found, batch in zip(kept, BatchSource(samples, batch_size=8, epochs=2), strict=True):
        assert_same(as_arrays(found), narrow(batch))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_goes_on_with_a_thread_of_its_own():
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from counted_samples import CountedSamples
from maskgen.batches import BatchSource
from maskgen.datasets import Loader

loader = Loader(BatchSource(CountedSamples(50), batch_size=4))
next(loader)
child = os.fork()
if not child:
    signal.alarm(20)
found = next(loader)["index"].tolist()
loader.close()
if not child:
    os._exit(0 if found == next(BatchSource(CountedSamples(50), batch_size=8))["index"].tolist()[4:] else 1)
sys.exit(os.waitpid(child, 0)[1] != 0)
"""
    folder = str(Path(__file__).parent)
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code, folder], timeout=60, check=False).returncode == 0


def test_buffers_are_used_again_when_nothing_refers_to_them():
    loader = Loader(BatchSource(CountedSamples(100), batch_size=8), depth=2)
    places = set()
    for _ in range(50):
        tensors = next(loader)
        places.add(tensors["row"].data_ptr())
    assert len(places) <= 5
    tensors = None
    loader.close()


def test_types_and_names_of_the_callers_choice(tmp_path):
    samples = toy_samples(tmp_path / "toy")
    source = BatchSource(samples, batch_size=4, epochs=1)
    expected = [to_hf(batch) for batch in BatchSource(samples, batch_size=4, epochs=1)]
    found = list(Loader(source, convert=to_hf))
    assert set(found[0]) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    for tensors, arrays in zip(found, expected, strict=True):
        assert_same(as_arrays(tensors), arrays)
    dtypes = {"text": np.int32, "padding_mask": np.bool_}
    with Loader(BatchSource(samples, batch_size=4), dtypes=dtypes) as loader:
        tensors = next(loader)
        assert (tensors["text"].dtype, tensors["padding_mask"].dtype) == (torch.int32, torch.bool)
        assert tensors["labels"].dtype == torch.int64


def test_a_blend_on_three_ranks():
    blend = Blend([CountedSamples(9), CountedSamples(40, 1)], [1, 2])
    loaders = [Loader(BatchSource(blend, batch_size=10, rank=rank, world_size=3)) for rank in range(3)]
    alone = BatchSource(blend, batch_size=10)
    for _ in range(12):
        rows = [row for loader in loaders for row in drawn(next(loader))]
        assert rows == drawn(next(alone))
    for loader in loaders:
        loader.close()


def test_states_count_what_was_yielded(tmp_path):
    samples = toy_samples(tmp_path / "toy")

    def make():
        return Loader(BatchSource(samples, batch_size=4, epochs=3, seed=2), depth=4)

    expected = list(make())
    assert len(expected) == 23
    for steps in (0, 1, 5, 22, 23):
        loader = make()
        for _ in range(steps):
            next(loader)
        state = json.loads(json.dumps(loader.state_dict()))
        assert state["consumed"] == min(4 * steps, 90)
        loader.close()
        resumed = make()
        next(resumed)  # goes back, or forward
        resumed.load_state_dict(state)
        rest = list(resumed)
        assert len(rest) == 23 - steps
        for found, tensors in zip(rest, expected[steps:], strict=True):
            assert_same(as_arrays(found), as_arrays(tensors))
    with pytest.raises(BatchError, match="seed"):
        Loader(BatchSource(samples, batch_size=4, seed=3)).load_state_dict(state)


def test_close_and_go_on():
    loader = Loader(BatchSource(CountedSamples(50), batch_size=4, seed=1), depth=3)
    twin = BatchSource(CountedSamples(50), batch_size=4, seed=1)
    for _ in range(5):
        assert drawn(next(loader)) == drawn(next(twin))
        loader.close()
        assert our_threads() == []
        loader.close()


def test_a_loader_that_is_forgotten_stops():
    loader = Loader(BatchSource(CountedSamples(50), batch_size=4))
    next(loader)
    assert len(our_threads()) == 1
    gone = weakref.ref(loader)
    del loader
    gc.collect()
    assert gone() is None
    assert our_threads() == []


class Breaking(CountedSamples):
    broken = True

    def batch(self, indices, *arguments, **options):
        if self.broken and 13 in np.asarray(indices):
            raise RuntimeError("sample 13 is broken")
        return super().batch(indices, *arguments, **options)


def test_errors_of_the_thread_come_with_their_batch():
    samples = Breaking(40)
    loader = Loader(BatchSource(samples, batch_size=4, shuffle=False), depth=8)
    for first in (0, 4, 8):
        assert drawn(next(loader))[0] == (0, 0, first)
    for _ in range(2):  # and again, with a new thread
        with pytest.raises(RuntimeError, match="sample 13 is broken"):
            next(loader)
        assert our_threads() == []
    assert loader.state_dict()["consumed"] == 12
    samples.broken = False
    assert drawn(next(loader))[0] == (0, 0, 12)
    loader.close()


def test_errors_of_the_conversion():
    def convert(batch):
        raise KeyError("types")

    with pytest.raises(KeyError, match="types"):
        next(Loader(BatchSource(CountedSamples(9), batch_size=4), convert=convert))


def test_a_loader_can_be_pickled():
    loader = Loader(BatchSource(CountedSamples(50), batch_size=4))
    next(loader)
    copy = pickle.loads(pickle.dumps(loader))
    assert drawn(next(copy)) == drawn(next(loader))
    copy.close()
    loader.close()


def test_in_a_data_loader_of_pytorch():
    source = BatchSource(CountedSamples(50), batch_size=4, epochs=1)
    data = torch.utils.data.DataLoader(Loader(source), batch_size=None)
    twin = BatchSource(CountedSamples(50), batch_size=4, epochs=1)
    for found, expected in zip(data, twin, strict=True):
        assert drawn(found) == drawn(expected)


def test_workers_would_repeat_batches(monkeypatch):
    class Info:
        num_workers = 2

    monkeypatch.setattr(datasets, "get_worker_info", Info)
    with pytest.raises(BatchError, match="in 2 workers"):
        next(Loader(BatchSource(CountedSamples(9), batch_size=4)))


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 calls it
def test_the_real_stateful_data_loader():
    stateful = pytest.importorskip("torchdata.stateful_dataloader")

    def make():
        source = BatchSource(CountedSamples(50), batch_size=4, epochs=2, seed=6)
        return stateful.StatefulDataLoader(Loader(source, depth=3), batch_size=None, num_workers=0)

    expected = [drawn(batch) for batch in make()]
    loader = make()
    batches = iter(loader)
    for _ in range(7):
        next(batches)
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = make()
    resumed.load_state_dict(state)
    assert [drawn(batch) for batch in resumed] == expected[7:]
    del batches, loader, resumed


def test_a_map_style_dataset(tmp_path):
    samples = toy_samples(tmp_path / "toy")
    dataset = SamplesDataset(samples, epoch=1)
    assert len(dataset) == 30
    for index, epoch in ((3, 1), (29, 4), (-1, 0)):
        dataset.set_epoch(epoch)
        for name, value in samples.sample(index, epoch=epoch).items():
            assert np.array_equal(dataset[index][name].numpy(), value), name
    dataset = pickle.loads(pickle.dumps(SamplesDataset(samples, rate=0.5, convert=to_hf)))
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=0)
    for place, batch in enumerate(loader):
        indices = range(place * 8, min(30, place * 8 + 8))
        assert_same(as_arrays(batch), to_hf(samples.batch(indices, rate=0.5)))
    with pytest.raises(IndexError):
        dataset[30]
    assert sum(1 for _ in map(dataset.__getitem__, range(len(dataset)))) == 30


@pytest.mark.parametrize("options", [{"depth": 0}, {"depth": 1.5}, {"source": [1, 2]}])
def test_hostile_arguments(options):
    with pytest.raises(BatchError):
        Loader(**{"source": BatchSource(CountedSamples(4), batch_size=2), **options})
    with pytest.raises(BatchError, match="epoch is -1"):
        SamplesDataset(CountedSamples(4), epoch=-1)


@pytest.mark.gpu
def test_pinned_buffers_and_copies_that_are_under_way():
    samples = CountedSamples(100_000)
    twin = BatchSource(samples, batch_size=4096)
    with Loader(BatchSource(samples, batch_size=4096), depth=1) as loader:
        for _ in range(50):
            tensors = next(loader)
            assert tensors["row"].is_pinned()
            torch.cuda._sleep(10_000_000)  # the copy waits, and the host goes on
            copied = tensors["row"].to("cuda", non_blocking=True)
            del tensors
            copied = copied.clone()
            later = next(loader)
            assert np.array_equal(copied.cpu().numpy(), next(twin)["row"])
            next(twin)
            del later


def test_a_process_may_end_in_the_middle(tmp_path):
    """Without close: it neither hangs nor crashes, and says nothing."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from counted_samples import CountedSamples\n"
        "from maskgen.batches import BatchSource\n"
        "from maskgen.datasets import Loader\n"
        "loader = Loader(BatchSource(CountedSamples(1000), batch_size=100), depth=3)\n"
        "print(len(next(loader)['index']))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "100\n", "")
