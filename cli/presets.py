"""`stembridge presets`."""


def list_presets() -> None:
    """List the presets that `remix --preset` knows by name."""
    from ..presets import preset_names, read_preset
    from .table import print_table

    presets = [read_preset(name) for name in preset_names()]
    print_table(
        ["name", "gains in dB", "what for"],
        [
            [preset.name, " ".join(f"{stem} {gain:+g}" for stem, gain in preset.gains_db.items()), preset.description]
            for preset in presets
        ],
    )
