"""Timelines as CSV: written files read back the same, and every mistake names the file and the line."""

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stembridge.control import Automation, ControlError
from stembridge.control.point import Point

points = st.tuples(
    st.floats(0, 1e6),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1),
    st.floats(-80, 20),
    st.sampled_from(["step", "linear", "db"]),
)


def write(folder, text, encoding="utf-8"):
    path = folder / "ride.csv"
    path.write_bytes(text.encode(encoding))
    return path


@given(points=st.lists(points, max_size=20))
def test_written_tables_read_back_the_same(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("csv") / "ride.csv"
    ride = Automation(points)
    ride.to_csv(path)
    again = Automation.from_csv(path)
    assert again.points == ride.points
    assert again.unit == "seconds"


def test_samples_are_written_as_whole_numbers(tmp_path):
    ride = Automation(unit="samples").step("vocals", 4410, -6.5).ramp("drums", 0, 88200, -80, shape="linear")
    ride.to_csv(tmp_path / "ride.csv")
    assert (tmp_path / "ride.csv").read_text() == (
        "samples,stem,gain_db,shape\n"
        "0,drums,,hold\n"
        "4410,vocals,-6.5,step\n"
        "88200,drums,-80.0,linear\n"
    )  # fmt: skip
    again = Automation.from_csv(tmp_path / "ride.csv")
    assert (again.points, again.unit) == (ride.points, "samples")


@pytest.mark.parametrize(
    "text",
    [
        "seconds,stem,gain_db,shape\n1,vocals,-6,\n2.5,drums,-80,db\n",
        "\ufeffseconds,stem,gain_db,shape\r\n1,vocals,-6,step\r\n2.5,drums,-inf,db\r\n",
        "stem , gain_db,shape, seconds\n\n vocals, -6.0 ,, 1\n , \ndrums,-8e1,db,2.5".replace(" , \n", ",,,\n"),
        'seconds;stem;gain_db;shape\n"1";"vocals";"-6,0";\n2,5;drums;-80;db\n',
        "seconds,stem,gain_db,shape\r1,vocals,-6,step\r2.5,drums,-80,db\r",
        "seconds,stem,gain_db,shape,,\n1,vocals,-6,step,,\n2.5,drums,-80,db,,\n,,,,,\n",
        "sep=;\r\nseconds;stem;gain_db;shape\r\n1,0;vocals;-6;\r\n2,5;drums;-80;db\r\n",
        '# my "ride, part 1\n\nseconds, "stem", gain_db, shape\n1, "vocals", -6,\n"# end,"\n2.5,drums,-80,db\n',
    ],
)
def test_tables_of_spreadsheet_programs_are_read(tmp_path, text):
    ride = Automation.from_csv(write(tmp_path, text))
    assert ride.points == (Point(1.0, "vocals", -6.0), Point(2.5, "drums", -80.0, "db"))


def test_without_a_shape_all_are_steps(tmp_path):
    ride = Automation.from_csv(write(tmp_path, "seconds,stem,gain_db\n0,vocals,-80\n1,vocals,0\n"))
    assert ride.points == (Point(0.0, "vocals", -80.0), Point(1.0, "vocals", 0.0))


def test_a_table_without_lines_moves_nothing(tmp_path):
    ride = Automation.from_csv(write(tmp_path, "seconds,stem,gain_db\n"))
    assert (ride.points, ride.stems, ride.initial(), ride.moves(0, 99, 8000)) == ((), (), {}, [])


HEADER = "seconds,stem,gain_db,shape\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "no column 'seconds'"),
        ("\n1,vocals,-6\n", 2, "no column 'seconds'"),
        ("1,vocals,-6\n", 1, "no column 'seconds'"),
        ("seconds,stem\n1,vocals\n", 1, "no column 'gain_db'"),
        ("samples,gain_db\n", 1, "no column 'stem'"),
        ("seconds,stem,gain\n", 1, "no column 'gain_db'"),
        ("seconds,stem,gain_db,shpae\n", 1, "an unknown or repeated column 'shpae'"),
        ("seconds,samples,stem,gain_db\n", 1, "an unknown or repeated column 'seconds'"),
        ("seconds,stem,stem,gain_db\n", 1, "an unknown or repeated column 'stem'"),
        (HEADER + "1,vocals,-6,step\n2,vocals,nan,step\n", 3, "vocals: gain nan dB is out of range"),
        (HEADER + "1,vocals,20.5,step\n", 2, "vocals: gain 20.5 dB is out of range; give -80 (silence) to +20"),
        (HEADER + "1,vocals,,step\n", 2, "vocals: gain '' is not a number"),
        (HEADER + "1,vocals,-6 dB,step\n", 2, "vocals: gain '-6 dB' is not a number"),
        (HEADER + "nan,vocals,-6,step\n", 2, "vocals: time nan is out of range"),
        (HEADER + "-1,vocals,-6,step\n", 2, "vocals: time -1.0 is out of range"),
        (HEADER + "1e300,vocals,-6,step\n", 2, "vocals: time 1e+300 is out of range"),
        (HEADER + "0:01,vocals,-6,step\n", 2, "vocals: time '0:01' is not a number of seconds"),
        (HEADER + "\n\n2,vocals,-6,step\n1.5,drums,-6,step\n", 5, "1.5 seconds come after 2; sort the lines by time"),
        (HEADER + "1_0,vocals,-6,step\n", 2, "vocals: time '1_0' is not a number of seconds"),
        (HEADER + "1,vocals,-1_0,step\n", 2, "vocals: gain '-1_0' is not a number"),
        (HEADER + '"1,5",vocals,-6,step\n', 2, "vocals: time '1,5' is not a number of seconds"),
        (HEADER + "\u0661,vocals,-6,step\n", 2, "is not a number of seconds"),
        (HEADER + "9" * 9999 + ",vocals,-6,step\n", 2, "vocals: time inf is out of range"),
        (HEADER + "1," + "v" * 9999 + ",x,step\n", 2, "vvv...vvvvvvvvvvvvv': gain 'x' is not a number"),
        (HEADER + "1,,-6,step\n", 2, "stem '' is not a name"),
        (HEADER + "1,vocals,-6,curved\n", 2, "vocals: shape 'curved' is unknown; give step, linear, db, hold"),
        (HEADER + "1,vocals,-6\n", 2, "3 columns, but the header has 4"),
        (HEADER + "1,vocals,-6,step,x\n", 2, "5 columns, but the header has 4"),
        (HEADER + "1,5,vocals,-6,step\n", 2, "5 columns, but the header has 4"),
        (HEADER + '1,"vocals\n', 2, "2 columns, but the header has 4"),
        (HEADER + "1," + "v" * 200_000 + ",-6,step\n", 2, "field larger than field limit"),
        ("samples,stem,gain_db\n1.5,vocals,-6\n", 2, "vocals: time '1.5' is not a whole number of samples"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_the_line(tmp_path, text, line, says):
    path = write(tmp_path, text)
    with pytest.raises(ControlError) as error:
        Automation.from_csv(path)
    assert str(error.value).startswith(f"{path}, line {line}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + len(str(path))


@pytest.mark.parametrize("encoding", ["utf-16-le", "latin-1", "utf-32"])
def test_text_of_an_unknown_encoding_is_refused(tmp_path, encoding):
    path = write(tmp_path, HEADER + "1,gitarre_\u00e4,-6,step\n", encoding)
    with pytest.raises(ControlError, match=r"ride\.csv is not text in UTF-8; save the table as CSV in UTF-8"):
        Automation.from_csv(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_tabs_between_columns_are_read_with_one_warning(tmp_path, encoding, decimal):
    text = 'seconds\tstem\tgain_db\tshape\t\r\n1\t"vocals"\t-6.0\r\n2.5\tdrums\t-80\tdb\r\n'
    path = write(tmp_path, text.replace("-6.0", "-6.0\t").replace(".", decimal), encoding)
    with pytest.warns(UserWarning, match=r"ride\.csv has tabs instead of commas between its columns") as warned:
        ride = Automation.from_csv(path)
    assert len(warned) == 1
    assert ride.points == (Point(1.0, "vocals", -6.0), Point(2.5, "drums", -80.0, "db"))


def test_bytes_that_are_not_text_are_refused(tmp_path):
    (tmp_path / "ride.csv").write_bytes(b"RIFF\xff\xfe\x80")
    with pytest.raises(ControlError, match=r"ride\.csv is not text in UTF-8; save the table as CSV in UTF-8"):
        Automation.from_csv(tmp_path / "ride.csv")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ControlError, match=r"nosuch\.csv cannot be read: No such file"):
        Automation.from_csv(tmp_path / "nosuch.csv")
    with pytest.raises(ControlError, match="cannot be read: Is a directory"):
        Automation.from_csv(tmp_path)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    ride = Automation().step("vocals", 1, -6)
    with pytest.raises(ControlError, match=r"ride\.csv cannot be written: No such file"):
        ride.to_csv(tmp_path / "nowhere" / "ride.csv")
    (tmp_path / "ride.csv").mkdir()
    with pytest.raises(ControlError, match=r"ride\.csv cannot be written: Is a directory"):
        ride.to_csv(tmp_path / "ride.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["ride.csv"]


def test_an_unknown_stem_names_the_file_and_the_line(tmp_path):
    ride = Automation.from_csv(write(tmp_path, HEADER + "0,vocals,-6,\n1,piano,-6,\n2,piano,0,\n"))
    with pytest.raises(ControlError, match=r"ride\.csv, line 3: unknown stem 'piano'; the stems are vocals, drums$"):
        ride.starting({"vocals": 0, "drums": 0})


@pytest.mark.parametrize(
    ("lines", "gain", "says"),
    [
        ("", 0, "nothing in .*ride.csv moves a fader; it has no line after the header$"),
        ("0,vocals,0,\n5,vocals,0,db\n9,vocals,,hold\n", 0, "nothing in .*ride.csv moves a fader; its gains are"),
        ("1,vocals,-90,\n", -80, "nothing in .*ride.csv moves a fader; its gains are"),
        ("1,vocals,-90,\n", -100, "nothing in .*ride.csv moves a fader; its gains are"),
        ("1,vocals,-80,\n", 0, ""),
        ("0,vocals,0,\n", -6, ""),
        ("5,vocals,,hold\n6,vocals,-1,db\n", 0, ""),
    ],
)
def test_a_table_that_moves_nothing_says_so(tmp_path, lines, gain, says):
    ride = Automation.from_csv(write(tmp_path, HEADER + lines))
    assert ride.moves_faders({"vocals": gain}) == (not says)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ride.starting({"vocals": gain, "drums": 3.0})
    assert [bool(re.match(says, str(warning.message))) for warning in warned] == [True] * bool(says)
