"""`stembridge models`: import, list, show and remove other networks."""

import hashlib
import json
import os
import shutil
import signal
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import onnx.parser
import pytest
from stembridge.models import load_model, save_model

LENGTH = 4096
# The first stem is the left half of the mix, the second is the rest.
BODY = """
    half = Constant <value_float = 0.5> ()
    one = Mul (mix, half)
    axis = Constant <value_ints = [1]> ()
    first = Unsqueeze (one, axis)
    stems = Concat <axis = 1> (first, first)
"""
GUEST = f"""<ir_version: 8, opset_import: ["" : 18]>
guest (float[1, 2, {LENGTH}] mix) => (float[1, 2, 2, {LENGTH}] stems) {{ {BODY} }}"""


@pytest.fixture
def folder(own_folder, tmp_path):
    """Return the folder of imported models."""
    path = tmp_path / "data" / "stembridge" / "models"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def guest(desk):
    """Make a network of two stems, as anyone could have made."""
    path = desk.folder / "My Guest.onnx"
    path.write_bytes(onnx.parser.parse_model(GUEST).SerializeToString())
    return path.name


def listed(desk):
    result = desk.call("models")
    assert result.returncode == 0, result.stderr
    return [line.split()[0] for line in result.stdout.splitlines()[2:]]


def test_a_guest_is_imported_listed_shown_used_and_removed(desk, folder, guest):
    result = desk.run("models", "import", guest, "--stems", "speech,music", "--terms", "CC0")
    assert result.returncode == 0, result.stderr
    checksum = hashlib.sha256((desk.folder / guest).read_bytes()).hexdigest()
    assert result.stdout.startswith(
        "imported my-guest: any network, waveform to waveforms, imported from My Guest.onnx; "
    )
    assert "stems speech, music; terms of the weights: CC0; use it with --model my-guest\n" in result.stdout
    assert checksum in result.stdout
    assert sorted(os.listdir(folder)) == [f"my-guest.{checksum[:12]}.onnx", "my-guest.json"]
    assert listed(desk) == ["live", "mix", "my-guest", "studio"]
    assert desk.call("models", "list").stdout == desk.call("models").stdout
    shown = json.loads(desk.call("models", "show", "my-guest").stdout)
    assert (shown["format"], shown["kind"], shown["terms"]) == (2, "waveform", "CC0")
    remixed = desk.call("remix", desk.make_song(), "-o", "out.wav", "--model", "my-guest", "--gain", "speech=-80")
    assert remixed.returncode == 0, remixed.stderr
    result = desk.call("models", "remove", "my-guest")
    assert result.stdout == "removed my-guest\n"
    assert not os.listdir(folder)
    assert "unknown model 'my-guest'" in desk.refused("models", "show", "my-guest", here=True)


def test_a_model_is_imported_with_its_card(desk, folder, tiny_live_model):
    result = desk.call("models", "import", tiny_live_model, "--as", "mine", "--terms", "mine alone")
    assert result.returncode == 0, result.stderr
    model = load_model("mine")
    assert model.graph == tiny_live_model.read_bytes()
    assert (model.card.name, model.card.values["terms"], model.card.realtime) == ("mine", "mine alone", True)
    assert desk.call("models", "remove", "mine").returncode == 0
    assert not os.listdir(folder)


def test_a_guest_is_imported_with_its_card(desk, folder, guest):
    assert desk.call("models", "import", guest, "--stems", "speech,music").returncode == 0
    card = json.loads((folder / "my-guest.json").read_text()) | {"version": "7"}
    (folder / "my-guest.json").write_text(json.dumps(card))
    for path in folder.iterdir():
        shutil.copy(path, desk.folder)
    assert desk.call("models", "import", "my-guest.json", "--as", "again").returncode == 0
    again = load_model("again")
    assert (again.card.version, again.card.name, again.graph) == ("7", "again", (desk.folder / guest).read_bytes())
    assert desk.call("models", "remove", "my-guest").returncode == 0
    assert load_model("again").graph, "the other's graph is there"


def test_json_of_another_program_next_to_a_guest_is_not_a_card(desk, guest):
    (desk.folder / "My Guest.json").write_text('{"segment": 7.8}')
    assert desk.call("models", "import", guest, "--stems", "speech,music").returncode == 0
    assert "takes and gives waveforms" in desk.refused("models", "import", guest, "--as", "other", here=True)
    (desk.folder / "My Guest.json").write_text('{"format": 2}')
    assert "not a valid model card" in desk.refused("models", "import", guest, "--as", "other", here=True)


def test_a_name_that_is_taken_is_refused_unless_forced(desk, folder, guest):
    for name in ("live", "Bad", "../up", ""):
        desk.refused("models", "import", guest, "--as", name, "--stems", "speech,music", here=True)
    assert desk.call("models", "import", guest, "--as", "mine", "--stems", "speech,music").returncode == 0
    line = desk.refused("models", "import", guest, "--as", "mine", "--stems", "a,b", here=True)
    assert "model 'mine' exists already; choose another name with --as, or overwrite it with --force" in line
    assert load_model("mine").card.stems == ("speech", "music")
    other = GUEST.replace("0.5", "0.25")
    (desk.folder / "other.onnx").write_bytes(onnx.parser.parse_model(other).SerializeToString())
    result = desk.call("models", "import", "other.onnx", "--as", "mine", "--stems", "a,b", "--force")
    assert result.returncode == 0, result.stderr
    assert load_model("mine").card.stems == ("a", "b")
    assert len(os.listdir(folder)) == 2, "the old graph is gone"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope.onnx"], "nope.onnx: No such file or directory; check the name"),
        (["model.pth"], "has the weights of a network"),
        (["https://example.org/model.ckpt?x=1"], "model.ckpt has the weights of a network"),
        (["nope://x/y.onnx"], "unknown to fsspec"),
        (["text.onnx"], "text.onnx is not an ONNX graph"),
        (["guest.onnx"], "guest.onnx takes and gives waveforms"),
        (["guest.onnx", "--stems", "one,two,three"], "gives 2 stems, not 3"),
        (["guest.onnx", "--stems", "one,one"], "the stem one appears twice"),
        (["guest.onnx", "--stems", "One,Two"], "'One' in --stems cannot be the name of a stem"),
        (["guest.onnx", "--stems", "one,"], "'' in --stems cannot be the name of a stem"),
        (["guest.onnx", "--kind", "nope"], "unknown kind 'nope'"),
        (["guest.onnx", "--kind", "htdemucs"], "guest.onnx is not htdemucs"),
        (["nan.onnx", "--stems", "one,two"], "nan"),
        (["wrong.onnx", "--stems", "one,two"], "wrong"),
        (["custom.onnx", "--stems", "one,two"], "ONNX Runtime cannot load this graph"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_in_one_line_and_leaves_nothing(desk, folder, arguments, says):
    graphs = {
        "guest.onnx": GUEST,
        "nan.onnx": GUEST.replace(
            "half = Constant <value_float = 0.5> ()", "zero = Sub (mix, mix) half = Div (zero, zero)"
        ),
        "wrong.onnx": GUEST.replace(
            "Concat <axis = 1> (first, first)", "Concat <axis = 1> (first, first, first)"
        ).replace(f"[1, 2, 2, {LENGTH}]", "[1, s, 2, n]"),
        "custom.onnx": GUEST.replace("Mul (", "mine.Magic (").replace('["" : 18]', '["" : 18, "mine" : 1]'),
    }
    for name, text in graphs.items():
        (desk.folder / name).write_bytes(onnx.parser.parse_model(text).SerializeToString())
    (desk.folder / "text.onnx").write_text("hello")
    (desk.folder / "model.pth").write_bytes(b"PK\x03\x04")
    line = desk.refused("models", "import", *arguments, here=True)
    assert says.lower() in line.lower()
    assert ".import-" not in line
    assert not folder.exists() or not os.listdir(folder)


def test_removing_a_missing_model_is_refused(desk, guest):
    assert "no imported model 'nope'; no model has been imported" in desk.refused("models", "remove", "nope", here=True)
    assert "comes with StemBridge and cannot be removed" in desk.refused("models", "remove", "live", here=True)


def test_a_damaged_card_hides_no_other_model(desk, folder, guest):
    assert desk.call("models", "import", guest, "--stems", "speech,music").returncode == 0
    (folder / "broken.json").write_text("{")
    (folder / "notes.txt").write_text("hello")
    result = desk.call("models")
    assert listed(desk) == ["broken", "live", "mix", "my-guest", "studio"]
    assert "the model card is not valid JSON" in result.stdout
    assert desk.call("models", "remove", "my-guest").returncode == 0
    assert desk.call("models", "remove", "broken").returncode == 0


class Server(ThreadingHTTPServer):
    """A server of one file: whole, not at all, truncated, or so slowly that it never ends."""

    def __init__(self, content, how):
        self.content, self.how, self.asked = content, how, threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/my guest.onnx?download=1"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        if self.server.how == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        if self.server.how == "missing":
            return
        self.server.asked.set()
        content = self.server.content
        if self.server.how != "whole":
            content = content[: len(content) // 2]
        self.wfile.write(content)
        self.wfile.flush()
        if self.server.how == "never ends":
            time.sleep(60)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(desk, guest):
    servers = []

    def serve(how):
        server = Server((desk.folder / guest).read_bytes(), how)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield serve
    for server in servers:
        server.shutdown()
        socketserver.BaseServer.server_close(server)


def test_a_url_is_downloaded(desk, folder, guest, serve):
    pytest.importorskip("aiohttp")
    result = desk.call("models", "import", serve("whole").url, "--stems", "speech,music")
    assert result.returncode == 0, result.stderr
    assert load_model("my-guest").graph == (desk.folder / guest).read_bytes()


def test_a_download_that_breaks_off_leaves_nothing(desk, folder, serve):
    pytest.importorskip("aiohttp")
    line = desk.refused("models", "import", serve("cut short").url, "--stems", "speech,music", here=True)
    assert "http://127.0.0.1" in line
    assert not os.listdir(folder)


def test_a_download_that_is_refused_says_why(desk, folder, serve):
    pytest.importorskip("aiohttp")
    assert "404" in desk.refused("models", "import", serve("missing").url, here=True)
    assert not folder.exists() or not os.listdir(folder)
    server = serve("whole")
    server.server_close()
    assert "Connect call failed" in desk.refused("models", "import", server.url, here=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_is_stopped_leaves_no_model_and_the_next_one_tidies_up(desk, folder, guest, serve, number):
    pytest.importorskip("aiohttp")
    server = serve("never ends")
    process = desk.start("models", "import", server.url, "--as", "stopped", "--stems", "a,b")
    assert server.asked.wait(30)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert out == ""
    if number == signal.SIGINT:
        assert (process.returncode, err) == (130, "stembridge: interrupted\n")
        assert not os.listdir(folder)
    assert "stopped" not in listed(desk)
    assert desk.call("models", "import", guest, "--stems", "speech,music").returncode == 0
    assert len(os.listdir(folder)) == 2


def test_two_imports_of_one_name_at_once_give_one_model(desk, folder, guest):
    processes = [desk.start("models", "import", guest, "--as", "one", "--stems", f"a,b{k}") for k in range(2)]
    codes = [process.communicate(timeout=60) and process.returncode for process in processes]
    assert sorted(codes) == [0, 2]
    assert load_model("one").card.stems == ("a", f"b{codes.index(0)}")
    assert len(os.listdir(folder)) == 2


def test_a_model_put_into_the_folder_by_hand_is_found(desk, folder, tiny_live_model):
    values = load_model(tiny_live_model).card.values
    save_model(folder / "mine.onnx", tiny_live_model.read_bytes(), values)
    assert listed(desk) == ["live", "mine", "mix", "studio"]
    assert desk.call("remix", desk.make_song(), "-o", "out.wav", "--model", "mine", "--vocals", "-80").returncode == 0


def test_quality_follows_the_card(desk, guest, folder):
    assert desk.call("models", "import", guest, "--stems", "speech,music").returncode == 0
    card = json.loads((folder / "my-guest.json").read_text())
    (folder / "my-guest.json").write_text(json.dumps(card | {"quality": {"fast": {"overlap": 0}}}))
    song = desk.make_song()
    for quality in ("fast", "normal"):
        arguments = ["--model", "my-guest", "--gain", "speech=-6", "--quality", quality]
        result = desk.call("remix", song, "-o", f"{quality}.wav", *arguments)
        assert result.returncode == 0, result.stderr
    arguments = ["remix", song, "-o", "out.wav", "--gain", "speech=-6", "--quality", "best"]
    line = desk.refused(*arguments, "--model", "my-guest", here=True)
    assert line == "stembridge: model my-guest has no quality 'best'; choose from: fast, normal\n"
    assert "model live has no quality 'best'; choose from: normal" in desk.refused(
        *arguments, "--model", "live", here=True
    )
    many = [
        "remix",
        "*.wav",
        "-o",
        "many/",
        "--gain",
        "speech=-6",
        "--model",
        "my-guest",
        "--quality",
        "fast",
        "-j",
        "2",
    ]
    assert desk.call(*many).returncode == 0
    assert len(list((desk.folder / "many").glob("*.wav"))) == 3


def test_gains_of_any_stem(desk, guest):
    assert desk.call("models", "import", guest, "--stems", "speech,music").returncode == 0
    song = desk.make_song()
    line = desk.refused("remix", song, "-o", "o.wav", "--model", "my-guest", "--gain", "vocals=-6", here=True)
    assert "vocals" in line
    assert "speech, music" in line
    assert "give it as STEM=DB" in desk.refused("remix", song, "-o", "o.wav", "--gain", "-6", here=True)
    assert "--gain speech" in desk.refused("remix", song, "-o", "o.wav", "--gain", "speech=99", here=True)


def test_live_audio_and_plugins_know_imported_models(desk, guest, tmp_path):
    assert desk.call("models", "import", guest, "--stems", "speech,music").returncode == 0
    line = desk.refused("live", "-i", "none", "-o", "none", "--model", "my-guest", "--no-ui", here=True)
    assert "my-guest" in line
    result = desk.call("vst3", "install", "--model", "my-guest", "--dir", tmp_path / "vst3")
    assert result.returncode == 0, result.stderr
    assert "StemBridge my-guest.vst3" in result.stdout
    preset = desk.call("presets", "save", "quiet", "--gain", "speech=-6")
    assert preset.returncode == 0
    result = desk.call("remix", desk.make_song(), "-o", "out.wav", "--model", "my-guest", "--preset", "quiet")
    assert result.returncode == 0, result.stderr


def test_a_folder_that_is_not_a_checkpoint_is_refused(desk, folder):
    (desk.folder / "empty").mkdir()
    assert "empty is a folder without a TensorFlow checkpoint" in desk.refused("models", "import", "empty", here=True)
    (desk.folder / "empty" / "model.index").write_text("hello")
    assert "model.index is not a TensorFlow checkpoint" in desk.refused("models", "import", "empty", here=True)
    line = desk.refused("models", "import", "empty/model.index", "--as", "mine", here=True)
    assert "model.index is not a TensorFlow checkpoint" in line
