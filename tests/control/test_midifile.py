"""MIDI files: the time of each message in any kind of file, and the place of the fault in a malformed one."""

import warnings
from fractions import Fraction

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.control import ControlError
from stembridge.control.midifile import has_midi_header, read, write

seven_bits = st.integers(0, 127)
channels = st.integers(0, 15)
messages = st.one_of(
    st.builds(mido.Message, st.just("control_change"), channel=channels, control=seven_bits, value=seven_bits),
    st.builds(mido.Message, st.sampled_from(["note_on", "note_off"]), channel=channels, note=seven_bits,
              velocity=seven_bits),
    st.builds(mido.Message, st.just("polytouch"), channel=channels, note=seven_bits, value=seven_bits),
    st.builds(mido.Message, st.just("aftertouch"), channel=channels, value=seven_bits),
    st.builds(mido.Message, st.just("program_change"), channel=channels, program=seven_bits),
    st.builds(mido.Message, st.just("pitchwheel"), channel=channels, pitch=st.integers(-8192, 8191)),
)  # fmt: skip


pytestmark = pytest.mark.filterwarnings("ignore:.*ride.mid is damaged:UserWarning")  # some tests expect it


def cc(value, control=16):
    return bytes([0xB0, control, value])


def tempo(microseconds):
    return b"\xff\x51\x03" + microseconds.to_bytes(3)


def times(path):
    """Return (seconds, value) of each control change."""
    return [(seconds, message.value) for seconds, message in read(path)]


# --- writing


RATES = [8000, 11025, 22050, 44100, 44101, 48000, 48000.5, 88200, 96000, 176400, 192000]


@given(
    performance=st.lists(st.tuples(st.integers(0, 1_000_000_000), messages), max_size=30), rate=st.sampled_from(RATES)
)
def test_written_messages_are_read_at_the_same_samples(tmp_path_factory, performance, rate):
    path = tmp_path_factory.mktemp("midi") / "ride.mid"
    write(path, performance, rate)
    again = [(round(seconds * rate), message) for seconds, message in read(path)]
    assert again == sorted(performance, key=lambda item: item[0])


@pytest.mark.parametrize(("rate", "beats"), [(44100, 2), (48000, 2), (88200, 4), (96000, 4), (192000, 8), (11025, 1)])
def test_a_tick_is_a_sample_at_a_tempo_that_other_programs_support(tmp_path, rate, beats):
    write(tmp_path / "ride.mid", [(12_345, mido.Message("program_change"))], rate)
    file = mido.MidiFile(tmp_path / "ride.mid")
    tempo, program, _ = file.tracks[0]
    assert (file.ticks_per_beat, mido.tempo2bpm(tempo.tempo), program.time) == (rate / beats, 60 * beats, 12_345)


def test_other_programs_read_the_same(tmp_path):
    message = mido.Message("control_change", control=16, value=5)
    write(tmp_path / "ride.mid", [(22_050, message), (12_500 * 44_100, message.copy(value=6))], 44_100)
    file = mido.MidiFile(tmp_path / "ride.mid")
    assert file.type == 0
    assert len(file.tracks) == 1
    now, heard = 0.0, []
    for event in file:
        now += event.time
        if not event.is_meta:
            heard.append((pytest.approx(now), event.value))
    assert heard == [(0.5, 5), (12_500, 6)]
    assert all(event.time < 1 << 28 for event in file.tracks[0]), "longer waits are cut to what a file can hold"


@pytest.mark.parametrize(
    ("sample", "rate", "says"),
    [
        (-1, 44100, r"ride\.mid: a message at sample -1 cannot be written"),
        (0, 0, "sample rate 0 does not work; give a rate in Hz, above 0"),
        (0, -1.5, "sample rate -1.5 does not work"),
        (0, float("nan"), "sample rate nan does not work"),
        (0, "44100", "sample rate '44100' does not work"),
    ],
)
def test_messages_that_cannot_be_written_leave_no_file(tmp_path, sample, rate, says):
    with pytest.raises(ControlError, match=says):
        write(tmp_path / "ride.mid", [(sample, mido.Message("program_change"))], rate)
    assert not list(tmp_path.iterdir())


# --- kinds of files


def test_the_default_tempo_is_120_beats_a_minute(midi_file):
    assert times(midi_file([(480, cc(1)), (1, cc(2))])) == [(0.5, 1), (0.5 + 1 / 960, 2)]


@pytest.mark.parametrize("kind", [0, 1])
def test_tempo_changes_act_from_their_time_on(midi_file, kind):
    track = [(480, cc(1)), (0, tempo(250_000)), (480, cc(2)), (240, tempo(1_000_000)), (240, cc(3))]
    assert times(midi_file(track, kind=kind)) == [(0.5, 1), (0.75, 2), (0.875 + 0.5, 3)]


def test_tempos_of_any_track_act_on_all_tracks(midi_file):
    path = midi_file([(480, tempo(250_000))], [(960, cc(1)), (960, cc(2))], [(1440, tempo(1_000_000))])
    assert times(path) == [(0.75, 1), (2.0, 2)]


def test_tracks_are_merged_in_their_order(midi_file):
    path = midi_file([(0, cc(1)), (480, cc(4))], [(0, cc(2)), (240, cc(3)), (240, cc(5))], kind=1)
    assert times(path) == [(0.0, 1), (0.0, 2), (0.25, 3), (0.5, 4), (0.5, 5)]


def test_tracks_of_type_2_follow_one_another_each_with_its_own_tempo(midi_file):
    first = [(0, tempo(1_000_000)), (480, cc(1))]
    path = midi_file(first, [(480, cc(2))], [(0, cc(3))], kind=2, ends=[240, 480, 0])
    assert times(path) == [(1.0, 1), (2.0, 2), (2.5, 3)]


@pytest.mark.parametrize("ticks", [1, 4, 40, 80, 100, 255])
@pytest.mark.parametrize(
    ("frames", "rate"), [(24, Fraction(24)), (25, Fraction(25)), (29, Fraction(30_000, 1001)), (30, Fraction(30))]
)
def test_ticks_may_be_parts_of_smpte_frames_and_tempos_are_then_ignored(midi_file, frames, rate, ticks):
    path = midi_file([(0, tempo(1)), (1000, cc(1)), (100_000, cc(2))], division=(frames, ticks))
    assert times(path) == [(float(1000 / (rate * ticks)), 1), (float(101_000 / (rate * ticks)), 2)]


@given(
    track=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 0xFFFFFF)), min_size=1, max_size=40),
    division=st.integers(1, 0x7FFF),
)
def test_times_are_exact_except_for_the_last_rounding(tmp_path_factory, track, division):
    file = mido.MidiFile(type=0, ticks_per_beat=division)
    file.tracks.append(mido.MidiTrack())
    seconds, microseconds, wanted = Fraction(0), 500_000, []
    for delta, new in track:
        file.tracks[0].append(mido.MetaMessage("set_tempo", tempo=new, time=delta))
        file.tracks[0].append(mido.Message("control_change", time=0))
        seconds, microseconds = seconds + Fraction(delta * microseconds, 1_000_000 * division), new
        wanted.append(float(seconds))
    path = tmp_path_factory.mktemp("midi") / "ride.mid"
    file.save(path)
    assert [at for at, _ in read(path)] == wanted


def test_a_huge_wait_is_only_a_number(midi_file):
    longest = (1 << 28) - 1
    (first, second) = times(midi_file([(longest, cc(1)), (longest, cc(2))], division=1))
    assert first == (longest / 2, 1)
    assert second == (float(longest), 2)


def test_running_status_and_messages_that_are_not_for_faders(midi_file):
    path = midi_file(
        [(0, cc(1)), (480, bytes([17, 2])), (0, b"\xf0\x03\x01\x02\xf7"), (0, b"\xff\x01\x03\xe4\xf6\xfc"),
         (0, b"\xff\x59\x02\x63\x63"), (0, b"\xf7\x01\xf8"), (480, cc(3)), (0, b"\xc5\x07"), (0, b"\x08")]
    )  # fmt: skip
    read_messages = [message for _, message in read(path)]
    assert [message.type for message in read_messages] == ["control_change"] * 3 + ["program_change"] * 2
    assert [message.bytes()[1:] for message in read_messages] == [[16, 1], [17, 2], [16, 3], [7], [8]]


def test_unknown_chunks_longer_headers_and_data_after_the_end_are_skipped(midi_file):
    path = midi_file([(480, cc(1))])
    whole = path.read_bytes()
    header, track = whole[:14], whole[14:]
    longer = header[:4] + (8).to_bytes(4) + header[8:] + b"\1\2"
    path.write_bytes(longer + b"XFIH" + (5).to_bytes(4) + bytes(5) + track + b"more")
    assert times(path) == [(0.5, 1)]


def test_a_track_needs_no_end_event(midi_file):
    path = midi_file([(480, cc(1))])
    whole = path.read_bytes()
    path.write_bytes(whole[:18] + (len(whole) - 22 - 4).to_bytes(4) + whole[22:-4])
    assert times(path) == [(0.5, 1)]


# --- malformed files


def test_a_file_truncated_anywhere_is_read_with_one_warning(midi_file):
    path = midi_file([(480, cc(1)), (300, b"\xff\x01\x03abc"), (0, cc(2))], [(5, b"\xf0\x02\x01\xf7"), (9, cc(3))])
    whole, everything = path.read_bytes(), times(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length < 18:
            with pytest.raises(ControlError, match=r"ride\.mid"):
                read(path)
        else:
            with pytest.warns(UserWarning, match=r"ride\.mid is damaged: ") as warned:
                found = times(path)
            assert len(warned) == 1
            assert set(found) <= set(everything)
            assert "\n" not in str(warned[0].message)


def test_a_truncated_track_says_how_much_of_it_is_there(midi_file):
    path = midi_file([(0, cc(1))], [(0, cc(1)), (0, cc(2)), (0, cc(3))])
    whole = path.read_bytes()
    for end, count in ((-3, 3), (-4, 3), (-5, 2), (-8, 2), (-9, 1)):
        path.write_bytes(whole[:end])
        with pytest.warns(UserWarning, match=f"track 2 is cut short after {count} events?;"):
            assert len(read(path)) == 1 + count


# A file of two tracks: their number in its header, the length it gives for each, and the data after them.
@pytest.mark.parametrize(
    ("count", "lengths", "after", "says"),
    [
        (2, None, b"", ""),
        (1, None, b"", "its header says 1 track, but it has 2"),
        (0, None, b"", "its header says 0 tracks, but it has 2"),
        (9, None, b"", "its header says 9 tracks, but it has 2"),
        (2, (0, 0), b"", "the length of track 1 is wrong; the length of track 2 is wrong"),
        (2, (8, 3), b"", "the length of track 1 is wrong; the length of track 2 is wrong"),
        (2, (20, 0xFFFFFFFF), b"", "the length of track 1 is wrong; the length of track 2 is wrong"),
        (2, None, b"\0" * 37, "37 bytes after the last track are not a track"),
        (2, None, b"TAG and whatever there is", "25 bytes after the last track are not a track"),
    ],
)
def test_files_with_wrong_headers_are_read_with_one_warning(midi_file, count, lengths, after, says):
    path = midi_file([(480, cc(1)), (480, cc(2))], [(240, cc(3, 17))])
    head, *tracks = path.read_bytes().split(b"MTrk")
    head = head[:10] + count.to_bytes(2) + head[12:]
    if lengths:
        tracks = [length.to_bytes(4) + track[4:] for length, track in zip(lengths, tracks, strict=True)]
    path.write_bytes(b"MTrk".join([head, *tracks]) + after)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert times(path) == [(0.25, 3), (0.5, 1), (1.0, 2)]
    assert len(warned) == bool(says)
    assert all(says in str(warning.message) for warning in warned)


def test_a_track_without_an_end_among_others_is_read(midi_file):
    path = midi_file([(480, cc(1))], [(240, cc(3))])
    path.write_bytes(path.read_bytes().replace(b"\0\0\0\x09", b"\0\0\0\x05").replace(b"\0\xff\x2f\0", b""))
    with pytest.warns(UserWarning, match="track 1 has no end event; track 2 has no end event"):
        assert times(path) == [(0.25, 3), (0.5, 1)]


@pytest.mark.parametrize(("value", "taken"), [(0x80, 127), (0xFF, 127), (0x90, 127), (0x7F, 127), (0, 0)])
def test_a_data_byte_above_127_is_taken_as_127(midi_file, value, taken):
    path = midi_file([(480, cc(value)), (480, bytes([16, value])), (0, bytes([0xC0, value])), (0, cc(5))])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = [message.bytes()[1:] for _, message in read(path)]
    assert found == [[16, taken], [16, taken], [taken], [16, 5]]
    assert len(warned) == (value > 127)
    assert all("3 data bytes above 0x7f, taken as 0x7f" in str(warning.message) for warning in warned)


def test_a_file_in_riff_is_read(midi_file):
    path = midi_file([(480, cc(1))])
    whole = path.read_bytes()
    content = b"RMIDdata" + len(whole).to_bytes(4, "little") + whole + b"LIST\4\0\0\0INFO"
    path.write_bytes(b"RIFF" + len(content).to_bytes(4, "little") + content)
    assert has_midi_header(path.read_bytes())
    assert times(path) == [(0.5, 1)]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (b"\xf1\x10", "byte 0xf1 does not begin an event"),
        (b"\xf8", "byte 0xf8 does not begin an event"),
        (b"\xff\x51\x03\x00\x00\x00", "its tempo is not valid"),
        (b"\xff\x51\x02\x07\xa1", "its tempo is not valid"),
        (b"\xff\x01\xff\xff\xff\xff\x7f", "a time or length has more than four bytes"),
    ],
)
def test_a_malformed_event_is_one_line_that_names_file_track_and_event(midi_file, event, says):
    path = midi_file([(0, cc(1))], [(0, cc(1)), (10, event)])
    with pytest.raises(ControlError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}, track 2, event 2: {says}")
    assert "\n" not in str(error.value)


def test_a_track_that_begins_with_data_is_malformed(midi_file):
    with pytest.raises(ControlError, match="track 1, event 1: byte 0x10 does not begin an event"):
        read(midi_file([(0, b"\x10\x20")]))


def test_a_time_of_more_than_four_bytes_is_malformed(midi_file):
    path = midi_file([(1 << 28, cc(1))])
    with pytest.raises(ControlError, match="track 1, event 1: a time or length has more than four bytes"):
        read(path)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"", "is not a MIDI file"),
        (b"MTh", "is not a MIDI file"),
        (b"RIFF\0\0\0\0WAVE", "is not a MIDI file"),
        (b"MThd\0\0\0\6\0\1", "is cut short in its header"),
        (b"MThd\0\0\0\4\0\1\0\1\1\xe0", "is cut short in its header"),
        (b"MThd\0\0\0\6\0\3\0\1\1\xe0", "of type 3; save it as type 0 or 1"),
        (b"MThd\0\0\0\6\0\1\0\1\0\0", "0 ticks a beat do not work"),
        (b"MThd\0\0\0\6\0\1\0\1\xe7\0", "0 ticks a frame at 25 frames a second do not work"),
        (b"MThd\0\0\0\6\0\1\0\1\xe5\x28", "40 ticks a frame at 27 frames a second do not work"),
        (b"MThd\0\0\0\6\0\1\0\2\1\xe0", "has no track; save or download it again"),
        (b"MThd\0\0\0\6\0\1\0\2\1\xe0" + b"\x99" * 99, "has no track; save or download it again"),
    ],
)
def test_a_wrong_header_says_why(tmp_path, header, says):
    path = tmp_path / "ride.mid"
    path.write_bytes(header)
    with pytest.raises(ControlError) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert says in str(error.value)


def test_a_file_without_tracks_has_no_messages(tmp_path):
    (tmp_path / "ride.mid").write_bytes(b"MThd\0\0\0\6\0\1\0\0\1\xe0")
    assert read(tmp_path / "ride.mid") == []


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("midi") / "ride.mid"
    for start in (b"", b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + len(data).to_bytes(4)):
        path.write_bytes(start + data)
        try:
            read(path)
        except ControlError as error:
            problem = str(error)
        else:
            problem = ""
        assert "\n" not in problem


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ControlError, match=r"nosuch\.mid cannot be read: No such file"):
        read(tmp_path / "nosuch.mid")
    with pytest.raises(ControlError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_a_system_reset_is_escaped(midi_file):
    path = midi_file([(480, b"\xf7\x01\xff"), (0, cc(1)), (0, b"\xf7\x02\xff\xf8")])
    assert [(at, message.type) for at, message in read(path)] == [(0.5, "reset"), (0.5, "control_change")]
