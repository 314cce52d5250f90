"""Make song.ogg: half a minute of drums, bass, chords and a voice-like lead, free for any use (CC0).

Usage: python examples/make_song.py song.ogg

Everything is made from sines and noise. The song has all four stems, so every example works with it. But a voice of
sines is not a singer, and the networks were trained on singers.
"""

import argparse

import numpy as np
import soundfile

RATE = 44100
BEAT_S = 60 / 96
BARS = 12
CHORDS = ("A", (57, 60, 64)), ("F", (53, 57, 60)), ("C", (55, 60, 64)), ("G", (55, 59, 62))  # MIDI notes
ROOTS = 33, 29, 36, 31
# Notes of the lead: (beat in four bars, length in beats, MIDI note, vowel)
MELODY = (
    (0, 1.5, 69, "a"), (1.5, 0.5, 71, "e"), (2, 1.5, 72, "a"), (4, 1, 72, "o"), (5, 1, 69, "a"), (6, 1.5, 65, "o"),
    (8, 1, 67, "e"), (9, 1, 69, "a"), (10, 1.5, 72, "a"), (12, 1, 74, "e"), (13, 1, 71, "o"), (14, 1.5, 67, "a"),
)  # fmt: skip
# Formants of vowels: (centre in Hz, width in Hz, level)
VOWELS = {
    "a": ((800, 90, 1.0), (1200, 100, 0.5), (2800, 160, 0.2)),
    "e": ((450, 70, 1.0), (1900, 120, 0.4), (2700, 160, 0.25)),
    "o": ((450, 80, 1.0), (800, 90, 0.5), (2800, 160, 0.1)),
}
random = np.random.default_rng(0)


def frequency(note):
    """Return the frequency of a MIDI note in Hz."""
    return 440 * 2 ** ((note - 69) / 12)


def place(track, sound, beat):
    """Add a sound (n,) to a track (n,) at a beat."""
    start = round(beat * BEAT_S * RATE)
    end = min(start + len(sound), len(track))
    track[start:end] += sound[: max(0, end - start)]


def seconds(length):
    """Return the times of the samples of a sound of that length, from 0, in seconds."""
    return np.arange(round(length * RATE)) / RATE


def sing(note, beats, vowel):
    """Return a pulse train with vibrato, filtered by the formants of a vowel."""
    t = seconds(beats * BEAT_S)
    vibrato = 0.2 * np.minimum(1, 3 * t) * np.sin(2 * np.pi * 5.5 * t)
    pitch = frequency(note + vibrato - 1.5 * np.exp(-t / 0.03))  # it scoops up to the note
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = np.zeros_like(t)
    for harmonic in range(1, 25):
        at = harmonic * pitch
        level = sum(gain / (1 + ((at - centre) / width) ** 2) for centre, width, gain in VOWELS[vowel])
        voice += (0.02 / harmonic + level) * np.sin(harmonic * phase)
    breath = 0.015 * random.standard_normal(len(t))
    fade = np.minimum(1, t / 0.04) * np.minimum(1, (t[-1] - t) / 0.08)
    return 0.4 * (voice + breath) * fade


def pluck(note, beats, brightness):
    """Return the sound of a string, whose higher harmonics fade faster."""
    t = seconds(beats * BEAT_S)
    partials = range(1, 9)
    tone = sum(np.sin(2 * np.pi * k * frequency(note) * t) * np.exp(-k * t / brightness) / k for k in partials)
    return tone * np.minimum(1, t / 0.004) * np.minimum(1, (t[-1] - t) / 0.01)


def kick():
    """Return the sound of a bass drum, shape (n,)."""
    t = seconds(0.3)
    return 0.6 * np.sin(2 * np.pi * (45 * t + 6 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09)


def snare():
    """Return the sound of a snare drum, shape (n,)."""
    t = seconds(0.25)
    noise = np.diff(random.standard_normal(len(t) + 1))
    return (0.16 * noise + 0.2 * np.sin(2 * np.pi * 185 * t)) * np.exp(-t / 0.06)


def hat():
    """Return the sound of a closed hi-hat, shape (n,)."""
    t = seconds(0.06)
    return 0.07 * np.diff(random.standard_normal(len(t) + 2), 2) * np.exp(-t / 0.015)


def make_tracks():
    """Return the stems, which sum to the song: name to float64 samples, shape (2, n)."""
    length = round(4 * BARS * BEAT_S * RATE)
    vocals, drums, bass, left, right = np.zeros((5, length))
    for bar in range(BARS):
        beat, (_, chord), root = 4 * bar, CHORDS[bar % 4], ROOTS[bar % 4]
        for half in range(8):
            place(drums, hat(), beat + half / 2)
            place(bass, 0.35 * pluck(root + (12 if half == 5 else 0), 0.48, 0.8), beat + half / 2)
            for part, note in enumerate(chord):
                place(left if (half + part) % 2 else right, 0.16 * pluck(note, 0.9, 0.5), beat + half / 2)
        for at, drum in ((0, kick), (1, snare), (2, kick), (2.5, kick), (3, snare)):
            place(drums, drum(), beat + at)
    for verse in range(0, 4 * BARS, 16):
        for at, beats, note, vowel in MELODY:
            place(vocals, sing(note, beats, vowel), verse + at)
    centre = {"vocals": vocals, "drums": drums, "bass": bass}
    other = np.stack([left + 0.3 * right, right + 0.3 * left])
    return {name: np.stack([track, track]) for name, track in centre.items()} | {"other": other}


def main():
    """Write the song to the file that the command line names."""
    parser = argparse.ArgumentParser(description="Make a song.")
    parser.add_argument("target", help="the song to write, such as song.ogg")
    target = parser.parse_args().target
    song = sum(make_tracks().values())
    soundfile.write(target, 0.8 * (song / abs(song).max()).T, RATE)


if __name__ == "__main__":
    main()
